"""What bulk runs and workers share: item states, the circuit breaker, metrics."""
