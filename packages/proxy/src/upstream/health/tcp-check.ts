/** Active checks by TCP: a connection, and perhaps bytes that are sent and others that are waited for. */
import type { HealthCheck_Payload, HealthCheck_TcpHealthCheck } from "@meltemi/protos/envoy/config/core/v3";
import { ConfigError, compileAll, within } from "../../lib/config-error.ts";
import type { CheckResult, CheckTarget, CompiledCheck } from "./check.ts";

const passed: CheckResult = { kind: "passed", isDegraded: false };

/** Throws ConfigError. Every check makes a connection of its own. */
export function compileTcpCheck(wire: HealthCheck_TcpHealthCheck): CompiledCheck {
  if (wire.proxy_protocol_config !== undefined) throw new ConfigError("proxy_protocol_config", "is not supported");
  const { send } = wire;
  const question = send === undefined ? undefined : within("send", () => compilePayload(send));
  const expected = compileAll("receive", wire.receive, compilePayload);
  return {
    protocol: undefined,
    async run(target) {
      const connection = await target.pools.connect(target.host, { signal: target.signal });
      try {
        if (question !== undefined) connection.stream.write(question);
        if (expected.length > 0) await waitFor(connection.stream, expected, target.signal);
        return passed;
      } finally {
        connection.close();
      }
    },
  };
}

function compilePayload({ text, binary }: HealthCheck_Payload): Buffer {
  if (binary !== undefined) return Buffer.from(binary);
  if (text === undefined || !/^([0-9a-fA-F]{2})+$/.test(text)) {
    throw new ConfigError("text", "must be bytes in hexadecimal");
  }
  return Buffer.from(text, "hex");
}

/** Resolves when all of the pieces have come in their order, with anything between them. */
function waitFor(
  stream: Awaited<ReturnType<CheckTarget["pools"]["connect"]>>["stream"],
  pieces: readonly Buffer[],
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const fail = (): void => reject(new Error("what was expected did not come"));
    stream.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (hasAll(received, pieces)) resolve();
    });
    stream.once("close", fail);
    stream.once("error", fail);
    signal.addEventListener("abort", fail, { once: true });
  });
}

/** Whether the pieces are in `bytes`, one behind the other. */
export function hasAll(bytes: Buffer, pieces: readonly Buffer[]): boolean {
  let from = 0;
  for (const piece of pieces) {
    const place = bytes.indexOf(piece, from);
    if (place < 0) return false;
    from = place + piece.length;
  }
  return true;
}
