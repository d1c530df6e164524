#!/usr/bin/env python3
"""The signatures that test_sigv4.c expects, made by botocore: run with .venv's Python; prints one line for each case."""

import datetime

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

URL = "https://bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%A9?partNumber=2&uploadId=x%2Fy"
SHA256 = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
CASES = {
    "equals_botocore": (None, SHA256, {}),
    "signs_the_session_token": ("tok/en+==", SHA256, {}),
    "signs_a_checksum": (None, "UNSIGNED-PAYLOAD", {"x-amz-checksum-crc32c": "4waSgw=="}),
    "signs_a_checksum_and_the_session_token": ("tok/en+==", "UNSIGNED-PAYLOAD", {"x-amz-checksum-crc32c": "4waSgw=="}),
}


class Signer(auth.S3SigV4Auth):
    """With a payload's digest that is given, not that of a body."""

    payload_sha256 = None

    def payload(self, request):
        return self.payload_sha256


def signature(token, payload_sha256, headers):
    request = AWSRequest("PUT", URL, headers=headers)
    signer = Signer(Credentials("AKID", "SECRET", token), "s3", "eu-west-1")
    signer.payload_sha256 = payload_sha256
    signer.add_auth(request)
    return request.headers["Authorization"].partition("Signature=")[2]


if __name__ == "__main__":
    auth.get_current_datetime = lambda remove_tzinfo=True: datetime.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001
    for name, case in CASES.items():
        print(name, signature(*case))
