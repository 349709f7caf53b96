/** The interoperability client and server of gRPC for Go, as processes. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { eventually } from "../../envoy/envoy-process.ts";

export interface InteropServer {
  stop(): Promise<void>;
}

export interface InteropServerOptions {
  readonly program: string;
  readonly port: number;
  /** Files of its certificate, where it takes TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string } | undefined;
}

/** Starts the server and waits until it takes connections. */
export async function startInteropServer({ program, port, tls }: InteropServerOptions): Promise<InteropServer> {
  const secure = tls === undefined ? [] : ["-use_tls", "-tls_cert_file", tls.certificate, "-tls_key_file", tls.key];
  const child = spawn(program, ["-port", String(port), ...secure], { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  try {
    await eventually(`a gRPC server listens on ${port}`, async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.destroy();
      return true;
    });
    return { stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

export interface InteropCall {
  readonly program: string;
  readonly port: number;
  readonly testCase: string;
  readonly flags?: readonly string[];
  /** Name and file of the roots of a server that takes TLS. */
  readonly tls?: { readonly name: string; readonly roots: string } | undefined;
}

/** Resolves with "passed" where the client says so, else with what it says. */
export function runInteropCase({ program, port, testCase, flags = [], tls }: InteropCall): Promise<string> {
  const secure =
    tls === undefined ? [] : ["-use_tls", "-use_test_ca", "-ca_file", tls.roots, "-server_host_override", tls.name];
  const args = ["-server_host", "127.0.0.1", "-server_port", String(port), "-test_case", testCase, ...secure, ...flags];
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 100_000, killSignal: "SIGKILL" }, (cause, _output, errors) =>
      resolve(cause === null ? "passed" : `${testCase}: ${cause.message}\n${errors.slice(-2_000)}`),
    );
  });
}
