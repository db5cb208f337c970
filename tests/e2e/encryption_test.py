#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Systems that share no socket directory, as on two hosts: who has the authority's certificate moves partitions, who has not learns
nothing and leaves one line in the log."""
import os
import socket
import ssl
import subprocess

import harness
from harness import PARTITION


class TwoHosts(harness.Site):
    def setUp(self):
        super().setUp()
        self.here, self.there = self.run_dir + "/here", self.run_dir + "/there"
        self.ports = {}
        self.lun = self.disk()
        for name, serial, run_dir, partition in (("POWER6-A", "10BA70A", self.here, self.partition(disk=True)),
                                                 ("POWER6-B", "10BA70B", self.there, None)):
            port = self.ports[name] = harness.free_port()
            config = self.config(name, serial, disk=self.lun, partition=partition)
            config = config.replace("[vios]", f'control_address = "127.0.0.1:{port}"\n[vios]', 1)
            system = harness.System(self, name, config, run_dir=run_dir)
            self.systems.append(system)
            harness.wait_until(lambda: not system.alive() or self.hmc(f"lssyscfg -r sys -m {name} -F name", run_dir)[0] == 0, name)

    def at(self, run_dir, command):
        rc, out, errors = self.hmc(command, run_dir)
        self.assertEqual(rc, 0, f"{command}: {out}{errors}")
        return out

    def test_a_partition_moves_there_and_back(self):
        port = self.ports["POWER6-B"]
        self.assertEqual(self.at(self.here, f"mksysconn --ip 127.0.0.1:{port}").strip(), "POWER6-B")
        self.assertEqual(self.at(self.here, "lssyscfg -r sys -F name"), "POWER6-A\nPOWER6-B\n")
        self.at(self.here, f"migrlpar -o v -m POWER6-A -t POWER6-B -p {PARTITION}")
        self.at(self.here, f"migrlpar -o m -m POWER6-A -t POWER6-B -p {PARTITION}")
        self.assertIn(PARTITION, self.at(self.there, "lssyscfg -r lpar -m POWER6-B -F name"))
        # And back: the other system is told an address that it can reach.
        self.at(self.here, f"migrlpar -o m -m POWER6-B -t POWER6-A -p {PARTITION}")
        self.assertNotIn(PARTITION, self.at(self.there, "lssyscfg -r lpar -m POWER6-B -F name"))
        self.at(self.here, "rmsysconn -m POWER6-B")
        self.assertEqual(self.at(self.here, "lssyscfg -r sys -F name"), "POWER6-A\n")

    def test_a_stranger_learns_nothing(self):
        port = self.ports["POWER6-B"]
        strange = dict(os.environ, BATON_STATE_DIR=self.run_dir + "/foreign")
        done = subprocess.run([harness.BATON, "--run-dir", self.run_dir + "/x", "hmc", "-c", f"mksysconn --ip 127.0.0.1:{port}"],
                              env=strange, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn(b"POWER6-B", done.stdout + done.stderr)
        # Plain text, as an HTTP/2 client without TLS would send it.
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
            answer = b""
            while piece := plain.recv(4096):
                answer += piece
            self.assertLess(len(answer), 16, "an alert at most")
        # TLS without a certificate of its own.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self.assertRaises(OSError), socket.create_connection(("127.0.0.1", port), 10) as raw:
            with context.wrap_socket(raw) as tls:
                tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
                self.assertEqual(tls.recv(4096), b"")
                raise ssl.SSLError("it was closed without an answer")
        system = self.systems[1]
        refused = lambda: [line for line in system.said().splitlines() if "a connection was refused" in line]
        harness.wait_until(lambda: len(refused()) >= 3, "a line for each")
        self.assertEqual(len(refused()), 3, system.said())
        self.assertTrue(system.alive())
        self.assertIn("POWER6-B", self.at(self.there, "lssyscfg -r sys -F name"))


if __name__ == "__main__":
    harness.main()
