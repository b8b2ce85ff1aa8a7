"""S3 servers on this machine: moto in this process, moto that checks signatures over TLS, Ceph's gateway."""

from __future__ import annotations

import datetime as dt
import io
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import boto3
from botocore.config import Config
from botocore.loaders import JSONFileLoader

# Half of the time of tests on S3 went into a megabyte of JSON, read again for each client. None changes what it gets.
JSONFileLoader.load_file = staticmethod(cache(JSONFileLoader().load_file))


@dataclass(frozen=True)
class S3Server:
    """Where a server is, and who may use it."""

    url: str
    key: str = "AKIDOFNOBODY"
    secret: str = field(default="opens-nothing-else", repr=False)
    authorities: str | None = None
    """A file with the certificate, where it speaks TLS."""

    @property
    def options(self) -> dict[str, Any]:
        """As the storage `s3` takes them."""
        said = {"endpoint_url": self.url, "key": self.key, "secret": self.secret, "region": "us-east-1"}
        return {**said, "verify": self.authorities} if self.authorities else said

    @property
    def environment(self) -> dict[str, str]:
        """The same by variables."""
        said = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }
        return {**said, "AWS_CA_BUNDLE": self.authorities} if self.authorities else said

    @cache  # noqa: B019  there are few servers, and they are there until the end
    def client(self, service: str = "s3") -> Any:
        """Another way in than the product's."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            verify=self.authorities,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def new_user(self, name: str, policy: str) -> None:
        """Let somebody in, who may do what the policy allows."""
        self.client("iam").create_user(UserName=name)
        self.client("iam").put_user_policy(UserName=name, PolicyName="lake", PolicyDocument=policy)

    def new_key(self, user: str) -> S3Server:
        """This server for a user, by a key of its own."""
        made = self.client("iam").create_access_key(UserName=user)["AccessKey"]
        return S3Server(self.url, made["AccessKeyId"], made["SecretAccessKey"], self.authorities)

    def revoke(self, user: str, key: str) -> None:
        """Take a key of a user no more."""
        self.client("iam").delete_access_key(UserName=user, AccessKeyId=key)


@contextmanager
def moto() -> Iterator[S3Server]:
    """moto in threads of this process. It takes any key."""
    import logging

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environ: Any, start_response: Any) -> Any:
        if length := environ.get("CONTENT_LENGTH"):  # before the lock: a client that is killed may never send all of it
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with lock:  # moto checks a condition and then writes, with nothing to hold others off between
            return app(environ, start_response)

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield S3Server(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def moto_with_signatures(folder: Path) -> Iterator[S3Server]:
    """moto in a process of its own, over TLS, which refuses wrong keys. The user `test` there has the key."""
    certificate, key = new_certificate(folder)
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port), "-s"]
    # So many calls are not checked: those that make the user.
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3"}
    with open(folder / "moto.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "-c", str(certificate), "-k", str(key)], stdout=log, stderr=log, env=environment
        )
    try:
        _wait_for_port(port, process)
        open_ = S3Server(f"https://127.0.0.1:{port}", authorities=str(certificate))
        allowed = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
        open_.new_user("test", allowed)
        yield open_.new_key("test")
    finally:
        process.terminate()
        process.wait()


def new_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own authority, for 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "server.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain))
    return folder / "server.pem", folder / "server.key"


# -- Ceph's RADOS gateway ---------------------------------------------------------------------------------------------

_CEPH_PROGRAMS = ("radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool")

_CEPH_CONF = """
[global]
fsid = {fsid}
mon host = {addresses}
public network = 127.0.0.0/8
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon max pg per osd = 1000
mon data = {folder}/mon
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
{store}
osd data = {folder}/osd
run dir = {folder}/run
log file = {folder}/log/$name.log
mon cluster log file = {folder}/log/cluster.log
admin socket = {folder}/run/$name.$pid.asok
pid file = {folder}/run/$name.pid
keyring = {folder}/keyring
ms bind ipv6 = false
[client.rgw]
rgw data = {folder}/rgw
rgw enable usage log = false
"""

_IN_MEMORY = """
osd objectstore = memstore
memstore device bytes = 4294967296
"""
_ON_DISK = """
osd objectstore = bluestore
bluestore block size = 26843545600
osd memory target = 1073741824
"""


def rgw_missing() -> str | None:
    """Why Ceph's gateway can't be started; None if it can."""
    missing = [name for name in _CEPH_PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (Debian: radosgw ceph-mon ceph-osd)" if missing else None


@dataclass(frozen=True, eq=False)  # known by itself: it has a dict
class Gateway(S3Server):
    """Ceph's gateway to a cluster that stays where the gateway dies."""

    cluster: tuple[str, ...] = ()
    """The arguments by which its programs find the cluster."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """Those of the cluster, and the gateway's, by program."""

    @property
    def _port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def begin(self) -> None:
        """Start it, and wait until it answers."""
        endpoint = f"beast endpoint=127.0.0.1:{self._port}"
        self.start("radosgw", *self.cluster, "--rgw-frontends", endpoint, "-f")
        _wait_for_port(self._port, self.processes["radosgw"])

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        gateway = self.processes.pop("radosgw")
        gateway.kill()
        gateway.wait()

    @property
    def running(self) -> bool:
        """Whether it was not killed, or has been started again."""
        return "radosgw" in self.processes

    def start(self, program: str, *arguments: str) -> None:
        """Start a program of the cluster."""
        silent = subprocess.DEVNULL
        self.processes[program] = subprocess.Popen([program, *arguments], stdout=silent, stderr=silent)

    def _admin(self, *command: str) -> None:
        _call("radosgw-admin", *self.cluster, *command)

    def new_user(self, name: str, policy: str) -> None:
        self._admin("user", "create", "--uid", name, "--display-name", name)
        self.client("iam").put_user_policy(UserName=name, PolicyName="lake", PolicyDocument=policy)

    def new_key(self, user: str) -> S3Server:
        made = S3Server(self.url, f"AKID{uuid.uuid4().hex}", uuid.uuid4().hex)
        self._change_keys(user, "create", "--access-key", made.key, "--secret-key", made.secret)
        return made

    def revoke(self, user: str, key: str) -> None:
        self._change_keys(user, "rm", "--access-key", key)

    def _change_keys(self, user: str, *how: str) -> None:
        policy = self.client("iam").get_user_policy(UserName=user, PolicyName="lake")["PolicyDocument"]
        self._admin("key", *how, "--uid", user)  # which takes the policy away
        self.client("iam").put_user_policy(UserName=user, PolicyName="lake", PolicyDocument=json.dumps(policy))

    def new_root(self) -> None:
        """Let in whoever has the key of this object: he may do everything with buckets of his own and with users."""
        who = ["--uid", "test", "--display-name", "test", "--access-key", self.key, "--secret-key", self.secret]
        self._admin("user", "create", *who, "--caps", "user-policy=*")


@contextmanager
def rgw(folder: Path, *, on_disk: bool = False) -> Iterator[Gateway]:
    """Ceph's RADOS gateway with one monitor and one store, which holds 4 GiB in memory or 25 GiB in the folder. Takes
    about 12 seconds to start."""
    for name in ("mon", "osd", "run", "log", "rgw"):
        (folder / name).mkdir()
    conf, ring = folder / "ceph.conf", str(folder / "keyring")
    cluster = ("-c", str(conf))
    gateway = ("-n", "client.rgw", "--keyring", ring)
    server = Gateway(f"http://127.0.0.1:{_free_port()}", cluster=(*cluster, *gateway))
    addresses = f"[v2:127.0.0.1:{_free_port()},v1:127.0.0.1:{_free_port()}]"
    fsid, store = str(uuid.uuid4()), _ON_DISK if on_disk else _IN_MEMORY
    conf.write_text(_CEPH_CONF.format(fsid=fsid, addresses=addresses, folder=folder, store=store))
    try:
        _call("ceph-authtool", "-C", ring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for name, caps in {
            "client.admin": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
            "osd.0": ("mon", "allow profile osd", "osd", "allow *"),
            "client.rgw": ("mon", "allow rw", "osd", "allow rwx"),
        }.items():
            pairs = [part for kind, cap in zip(caps[::2], caps[1::2], strict=True) for part in ("--cap", kind, cap)]
            _call("ceph-authtool", ring, "--gen-key", "-n", name, *pairs)
        monmap = str(folder / "monmap")
        _call("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", addresses, monmap)
        _call("ceph-mon", *cluster, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", ring)
        server.start("ceph-mon", *cluster, "-i", "a", "-f")
        osd = str(uuid.uuid4())
        _call("ceph", *cluster, "--connect-timeout", "60", "osd", "new", osd)
        _call("ceph-osd", *cluster, "-i", "0", "--mkfs", "--osd-uuid", osd)
        server.start("ceph-osd", *cluster, "-i", "0", "-f")
        server.begin()
        server.new_root()
        yield server
    finally:
        for process in reversed(server.processes.values()):
            process.terminate()
        for process in server.processes.values():
            process.wait()


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=1).close()
            return
        except HTTPError:
            return
        except OSError as error:
            if isinstance(getattr(error, "reason", error), ConnectionRefusedError):
                time.sleep(0.05)
                continue
            return  # it speaks, if only TLS
    raise RuntimeError(f"No server answers on port {port}")
