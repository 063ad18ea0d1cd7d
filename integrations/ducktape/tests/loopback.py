"""Nodes for a test: an SSH server on loopback that runs what it is told as whoever has started it.

`loopback.py FOLDER COUNT` writes `FOLDER/cluster.json` with so many nodes for `ducktape --cluster-file`, all of them
this machine, and serves until its standard input ends. It listens on 127.0.0.1 only, and asks for a password that is
in that file only.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading

import paramiko


# What this server starts has it in its environment, and is ended with the server.
MARK = f"PROOFLOAD_LOOPBACK={secrets.token_hex(16)}"


class Server(paramiko.ServerInterface):
    def __init__(self, password: str):
        self._password = password

    def check_auth_password(self, username: str, password: str) -> int:
        is_right = secrets.compare_digest(password, self._password)
        return paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=run, args=(channel, command.decode()), daemon=True).start()
        return True


def run(channel: paramiko.Channel, command: str) -> None:
    """Runs a command as sshd would; what it leaves in the background holds nothing open."""
    shell = subprocess.Popen(
        ["bash", "-c", command],
        cwd=os.path.expanduser("~"),
        env=os.environ | dict([MARK.split("=")]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    pumps = [
        threading.Thread(target=pump, args=(shell.stdout, channel.sendall), daemon=True),
        threading.Thread(target=pump, args=(shell.stderr, channel.sendall_stderr), daemon=True),
    ]
    for one in pumps:
        one.start()
    code = shell.wait()
    for one in pumps:
        one.join()
    channel.send_exit_status(code)
    channel.close()


def pump(source, send) -> None:
    try:
        while piece := source.read1(65536):
            send(piece)
    except OSError:
        # Nobody listens any longer.
        pass


class Files(paramiko.SFTPServerInterface):
    """As much of SFTP as ducktape needs: reading, writing, listing."""

    def open(self, path, flags, attr):
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        handle = paramiko.SFTPHandle(flags)
        mode = "r+b" if flags & os.O_RDWR else "wb" if flags & os.O_WRONLY else "rb"
        handle.readfile = handle.writefile = os.fdopen(descriptor, mode)
        return handle

    def stat(self, path):
        return self._attributes(os.stat, path)

    def lstat(self, path):
        return self._attributes(os.lstat, path)

    def list_folder(self, path):
        try:
            return [
                paramiko.SFTPAttributes.from_stat(os.stat(os.path.join(path, name)), name) for name in os.listdir(path)
            ]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def _attributes(self, ask, path):
        try:
            return paramiko.SFTPAttributes.from_stat(ask(path))
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)


def serve(listener: socket.socket, key: paramiko.PKey, password: str) -> None:
    while True:
        connection, _ = listener.accept()
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
        try:
            transport.start_server(server=Server(password))
        except (paramiko.SSHException, EOFError):
            transport.close()


def main() -> None:
    folder, count = sys.argv[1], int(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    password = secrets.token_hex(16)

    def node(number: int) -> dict:
        ssh = {"host": f"node{number}", "hostname": "127.0.0.1", "port": listener.getsockname()[1]}
        ssh |= {"user": "nobody", "password": password}
        return {"externally_routable_ip": "127.0.0.1", "ssh_config": ssh}

    path = os.path.join(folder, "cluster.json")
    with open(path + ".new", "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump({"nodes": [node(number) for number in range(count)]}, file)
    os.rename(path + ".new", path)
    key = paramiko.ECDSAKey.generate()
    threading.Thread(target=serve, args=(listener, key, password), daemon=True).start()
    sys.stdin.read()
    end_started()


def end_started() -> None:
    """Ends whatever a test has left in the background."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                is_ours = MARK.encode() in file.read().split(b"\0")
            if is_ours:
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            # Another user's, or gone already.
            continue


if __name__ == "__main__":
    main()
