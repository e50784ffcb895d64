"""Checks the demo's claims against what the mock server received and applied."""

from collections.abc import Sequence
from dataclasses import dataclass

from thredfi_async import Customer, Effect, RawResponse, ThredfiError
from thredfi_async.mock_server import CustomerRecord, FaultKind, MockServer, SeededCustomer


@dataclass(frozen=True, kw_only=True)
class Check:
    """One claim.

    Args:
        name: For machines.
        sentence: The claim, with its figures.
        passed: Whether it holds.
    """

    name: str
    sentence: str
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What the claims are about.

    Args:
        server: The mock server.
        targets: The customers, in the order of their calls.
        results: How each call ended.
        shown: What the API answered when it was asked about each one.
        active: How many customers it lists as active.
    """

    server: MockServer
    targets: Sequence[SeededCustomer]
    results: Sequence[RawResponse[Customer] | ThredfiError]
    shown: Sequence[Customer | BaseException]
    active: int

    @property
    def archived(self) -> int:
        """How many customers the API shows archived, each asked for by its id."""
        return sum(
            isinstance(customer, Customer) and customer.is_archived and customer.id == target.customer_id
            for target, customer in zip(self.targets, self.shown, strict=True)
        )

    def checks(self) -> list[Check]:
        """Check all claims.

        Returns:
            The claims, and whether they hold.
        """
        return [self._archived(), self._statements(), self._keys(), self._once(), self._faults()]

    def _archived(self) -> Check:
        count, total = self.archived, len(self.targets)
        sentence = f"the API shows {count:,} of {total:,} customers archived, and lists {self.active:,} as active"
        return Check(name="archived", sentence=sentence, passed=count == total and self.active == 0)

    def _statements(self) -> Check:
        true = sum(map(self._is_true, self.targets, self.results))
        sentence = f"{true:,} of {len(self.results):,} calls reported their effect on the server correctly"
        return Check(name="true_statements", sentence=sentence, passed=true == len(self.targets))

    def _is_true(self, target: SeededCustomer, result: RawResponse[Customer] | ThredfiError) -> bool:
        applied = self._record(target).applied > 0
        if isinstance(result, ThredfiError):
            return {Effect.NOT_APPLIED: not applied, Effect.UNKNOWN: True, Effect.APPLIED: applied}[result.effect]
        about = result.parsed.id == target.customer_id and result.parsed.is_archived
        return about and applied and not result.already_archived

    def _keys(self) -> Check:
        records = [self._record(target) for target in self.targets]
        single = sum(
            record.keys == {result.idempotency_key} and len(record.digests) == 1
            for record, result in zip(records, self.results, strict=True)
        )
        distinct = set[str]().union(*(record.keys for record in records))
        requests = sum(record.requests for record in records)
        sentence = f"{requests:,} requests received, with one key and one body for each of {single:,} customers"
        passed = single == len(distinct) == len(self.targets)
        return Check(name="one_key_one_body", sentence=sentence, passed=passed)

    def _once(self) -> Check:
        once = sum(self._record(target).applied == 1 for target in self.targets)
        sentence = f"{once:,} of {len(self.targets):,} customers were archived exactly once"
        return Check(name="applied_once", sentence=sentence, passed=once == len(self.targets))

    def _faults(self) -> Check:
        thrown = sum(self.server.faults_thrown[kind] > 0 for kind in FaultKind)
        total = self.server.faults_thrown.total()
        sentence = f"{thrown} of {len(FaultKind)} kinds of fault were really thrown, {total:,} times in all"
        return Check(name="every_fault", sentence=sentence, passed=thrown == len(FaultKind))

    def _record(self, target: SeededCustomer) -> CustomerRecord:
        return self.server.requests.of(target.customer_id)
