"""Django REST framework with its throttle, for gunicorn: `gunicorn limited_django:application`."""

import time
from typing import Final

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

_RATE: Final = "200/second"
_SECONDS: Final = 0.02

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a benchmark",  # noqa: S106 - it is none
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
)
django.setup()

# They read the settings when they are imported.
from rest_framework.request import Request  # noqa: E402 - see above
from rest_framework.throttling import SimpleRateThrottle  # noqa: E402 - see above
from rest_framework.views import APIView  # noqa: E402 - see above
from work import BUSINESS, answer  # noqa: E402 - see above

_BEFORE, _AFTER = answer()
_HEAD, _, _START = _BEFORE.partition(b"\r\n\r\n")


class Throttle(SimpleRateThrottle):
    """One limit for everyone."""

    rate = _RATE

    def get_cache_key(self, request: Request, view: APIView) -> str:  # noqa: ARG002 - the base class calls it so
        """Return the key of all requests."""
        return "everyone"


class Archive(APIView):
    """Answers as the API does, after a moment."""

    throttle_classes = (Throttle,)

    def post(self, request: Request, customer: str) -> HttpResponse:  # noqa: ARG002 - as above
        """Archive a customer."""
        time.sleep(_SECONDS)
        return HttpResponse(_START + customer.encode() + _AFTER, content_type="application/json")


urlpatterns = [path(f"v1/platform/businesses/{BUSINESS}/customers/<str:customer>/archive/", Archive.as_view())]
application = get_wsgi_application()
