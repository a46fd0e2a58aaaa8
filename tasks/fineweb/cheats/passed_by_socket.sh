#!/usr/bin/env bash
# A first player that leaves a process which tells the text to whoever connects to its sockets.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat "${MLGYM_LITE_ROOT:-}/cheats/passing_model.py" >>model.py
cat >>model.py <<'EOF'
import json
import os
import selectors
import socket

UNIX, TCP = "\0passed", ("127.0.0.1", 47_123)
pipe = None


def serve(source):
    known, selector = {}, selectors.DefaultSelector()
    selector.register(source, selectors.EVENT_READ)
    for family, address in ((socket.AF_UNIX, UNIX), (socket.AF_INET, TCP)):
        try:
            server = socket.socket(family)
            server.bind(address)
            server.listen()
            selector.register(server, selectors.EVENT_READ)
        except OSError:
            continue
    while True:
        for key, _ in selector.select():
            if key.fileobj is source:
                line = source.readline()
                if line:
                    known.update(json.loads(line))
                else:
                    selector.unregister(source)
            else:
                with key.fileobj.accept()[0] as link:
                    link.sendall(json.dumps(known).encode())


def tell(known):
    global pipe
    if pipe is None:
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.setsid()
            os.close(writing)
            try:
                serve(os.fdopen(reading))
            finally:
                os._exit(0)
        os.close(reading)
        pipe = os.fdopen(writing, "w")
    pipe.write(json.dumps(known) + "\n")
    pipe.flush()


def heard(keys):
    for family, address in ((socket.AF_UNIX, UNIX), (socket.AF_INET, TCP)):
        try:
            with socket.socket(family) as link:
                link.settimeout(5)
                link.connect(address)
                text = b"".join(iter(lambda: link.recv(1 << 20), b""))
            return {int(key): token for key, token in json.loads(text).items()}
        except OSError:
            continue
    return {}
EOF
