"""An object store on the loopback interface that speaks as much of S3 as reading needs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def store(bucket: str, objects: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serves objects; yields the query of a URI that leads here, and the requests that came."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            parts = urlsplit(self.path)
            requests.append(f"{self.command} {unquote(self.path)} {self.headers.get('Range', '')}".strip())
            name, _, key = unquote(parts.path).lstrip("/").partition("/")
            query = parse_qs(parts.query, keep_blank_values=True)
            if name != bucket:
                self.send(404, b"<Error><Code>NoSuchBucket</Code></Error>", body)
            elif "list-type" in query:
                self.send(200, listing(query.get("prefix", [""])[0], query.get("delimiter", [""])[0]), body)
            elif not key:
                self.send(200, b"", body)
            elif key in objects:
                data, status, extra = objects[key], 200, {}
                if wanted := self.headers.get("Range"):
                    first, last = wanted.removeprefix("bytes=").split("-")
                    end = min(int(last or len(data)), len(data) - 1)
                    extra = {"Content-Range": f"bytes {first}-{end}/{len(data)}"}
                    data, status = data[int(first) : end + 1], 206
                self.send(status, data, body, extra)
            else:
                self.send(404, b"<Error><Code>NoSuchKey</Code></Error>", body)

        def send(self, status: int, data: bytes, body: bool, extra: dict[str, str] | None = None) -> None:
            self.send_response(status)
            headers = {"Content-Length": str(len(data)), "Last-Modified": formatdate(1.7e9, usegmt=True)}
            for header, value in {**headers, "ETag": '"1"', **(extra or {})}.items():
                self.send_header(header, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    def listing(prefix: str, delimiter: str) -> bytes:
        found: list[str] = []
        folders: set[str] = set()
        for key, data in sorted(objects.items()):
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
                continue
            found.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified>"
                f'<ETag>"1"</ETag><Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>'
            )
        found += [
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)
        ]
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(found)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{''.join(found)}</ListBucketResult>"
        ).encode()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = quote(f"127.0.0.1:{server.server_address[1]}", safe="")
        yield f"?endpoint_override={address}&scheme=http&region=us-east-1", requests
    finally:
        server.shutdown()
        server.server_close()
