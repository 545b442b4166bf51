"""Prints tokens of each algorithm, made by PyJWT: tokens.py DIRECTORY CLAIMS..."""
import json
import pathlib
import sys

import jwt

directory, texts = pathlib.Path(sys.argv[1]), sys.argv[2:]
keys = {"HS256": "secret", "RS256": "rsa.pem", "PS256": "rsa.pem", "ES256": "ec.pem", "EdDSA": "ed.pem"}
for algorithm, name in keys.items():
    for text in texts:
        print(algorithm, jwt.encode(json.loads(text), (directory / name).read_text(), algorithm))
