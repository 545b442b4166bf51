# stream.py URL: prints the body of a stream as requests hands it on, byte by byte.
import sys

import requests

with requests.get(sys.argv[1], stream=True, timeout=60) as response:
    response.raise_for_status()
    for chunk in response.iter_content(chunk_size=1):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
