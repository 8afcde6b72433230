"""Whom Cloud Storage is asked as: what is wrong with the key file that the environment names, in one sentence.

The client library says of some faults only that no credentials were found, and of others nothing but a traceback. No text of
a key file is ever shown: it is a secret.
"""

from __future__ import annotations

import json
import os
import stat
from typing import Any

from google.auth.exceptions import DefaultCredentialsError
from google.cloud import storage

from transforms.storage.api import NoCredentials

_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_TYPES = (
    "service_account",
    "authorized_user",
    "external_account",
    "external_account_authorized_user",
    "impersonated_service_account",
    "gdch_service_account",
)
_DO = "Let it name the key file of a service account, or unset it and run `gcloud auth application-default login`."


def connected() -> storage.Client:
    """A client with the credentials of the environment, or without any for an emulator.

    Raises:
      NoCredentials: there are none, or they cannot be used; its text says why and what to do.
    """
    path = os.environ.get(_KEY_FILE, "")
    if path and "STORAGE_EMULATOR_HOST" not in os.environ:
        check_key_file(path)
    try:
        return storage.Client(project=None)  # objects need no project: none is searched for
    except DefaultCredentialsError as error:
        if path:
            raise NoCredentials(f"{_KEY_FILE} names {path}, which cannot be used: {_words(error)}. {_DO}") from error
        if isinstance(error.__cause__, ValueError):  # of gcloud's own file
            raise NoCredentials(
                f"The credentials that gcloud keeps cannot be used: {_words(error)}. Run `gcloud auth application-default "
                "login` again."
            ) from error
        raise NoCredentials(
            "Reading or writing gs:// needs Google Cloud credentials, and none were found: run `gcloud auth "
            f"application-default login`, or let {_KEY_FILE} name a key file."
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of a field that is missing or wrong
        named = f"{_KEY_FILE} names {path}, which" if path else "The credentials that gcloud keeps"
        raise NoCredentials(f"{named} cannot be used: {type(error).__name__}: {error}. {_DO}") from error


def check_key_file(path: str) -> None:
    """Raises NoCredentials if a file cannot be a key; of a pipe, which can be read once, nothing is known before."""
    fault = _fault_of_file(path)
    if fault:
        raise NoCredentials(f"{_KEY_FILE} names {path}, which {fault}. {_DO}")


def _fault_of_file(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return "is a folder: expected a key file"
        if not stat.S_ISREG(mode):
            return ""
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError:
        return "is no path"
    if not data.strip():
        return "is empty"
    try:
        return _fault_of_key(json.loads(data))
    except (ValueError, RecursionError):
        return "is no JSON, or only a part of it: download the key again"


def _fault_of_key(key: Any) -> str:
    if not isinstance(key, dict):
        return "is JSON, but no object: expected a key file"
    if "type" not in key and ("installed" in key or "web" in key):
        return "is the secret of an OAuth client, and no key: nobody can be asked to log in"
    if "type" not in key:
        return "has no type: it is no key file"
    if key["type"] not in _TYPES:
        return f"is of the unknown type {str(key['type'])[:40]!r}: expected one of {', '.join(_TYPES)}"
    return ""


def _words(error: DefaultCredentialsError) -> str:
    """What the library says at the bottom of an error."""
    return str(error.__cause__ or error.args[0]).rstrip(".")
