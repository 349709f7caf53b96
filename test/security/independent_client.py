"""Calls istio.v1.auth.IstioCertificateService/CreateCertificate with what it reads from standard input.

In:  {"target": "host:port", "roots": PEM, "calls": [{"csr": PEM, "seconds": 60, "token": "...", "metadata": {...}}]}
Out: [{"code": "OK", "details": "", "chain": [PEM, ...]}, ...]

The messages are encoded by hand: nothing is shared with the server that is tested.
"""

import json
import sys

import grpc


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, content):
    """A field with a length: texts and messages."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def encode(call):
    request = field(1, call["csr"].encode())
    if "seconds" in call:
        request += varint(3 << 3) + varint(call["seconds"])
    entries = b""
    for key, text in call.get("metadata", {}).items():
        value = field(3, text.encode())
        entries += field(1, field(1, key.encode()) + field(2, value))
    return request + (field(4, entries) if entries else b"")


def read_varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return number, at


def decode(data):
    """The texts of field 1."""
    texts, at = [], 0
    while at < len(data):
        key, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if key != 1 << 3 | 2:
            raise ValueError("unexpected field")
        texts.append(data[at : at + length].decode())
        at += length
    return texts


def main():
    order = json.load(sys.stdin)
    credentials = grpc.ssl_channel_credentials(root_certificates=order["roots"].encode())
    options = [("grpc.max_metadata_size", 4 << 20), ("grpc.absolute_max_metadata_size", 4 << 20)]
    answers = []
    with grpc.secure_channel(order["target"], credentials, options) as channel:
        method = channel.unary_unary("/istio.v1.auth.IstioCertificateService/CreateCertificate")
        for call in order["calls"]:
            headers = [("authorization", "Bearer " + call["token"])] if "token" in call else []
            headers += call.get("headers", {}).items()
            try:
                answer = method(encode(call), metadata=headers, timeout=60, wait_for_ready=True)
                answers.append({"code": "OK", "details": "", "chain": decode(answer)})
            except grpc.RpcError as error:
                answers.append({"code": error.code().name, "details": error.details(), "chain": []})
            except ValueError as error:
                answers.append({"code": "NOT_SENT", "details": str(error), "chain": []})
    json.dump(answers, sys.stdout)


main()
