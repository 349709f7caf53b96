/** A proxy before a server that answers badly, and what its clients get. */
import { holdPorts } from "../../../tools/free-ports.ts";
import type { DataPlane } from "../../envoy/envoy-process.ts";
import { type StaticPlane, startStaticPlane } from "../static-plane.ts";
import { type ClientAnswer, parseAnswers } from "./answers.ts";
import { buildLanes, type Profile, profileNames } from "./profiles.ts";
import { askBytes } from "./raw-client.ts";
import type { ResponseInput } from "./response-inputs.ts";
import { startScriptedUpstream } from "./scripted-upstream.ts";

export interface ResponsePlane {
  readonly proxy: StaticPlane;
  /** What clients get of those inputs (by their place in the list), each followed by a good request. */
  askAll(places: readonly number[]): Promise<readonly (readonly ClientAnswer[])[]>;
  stop(): Promise<void>;
}

export interface ResponsePlaneOptions {
  readonly plane: DataPlane;
  readonly inputs: readonly ResponseInput[];
  readonly nodeFlags?: readonly string[];
}

const atOnce = 8;

export async function startResponsePlane({
  plane,
  inputs,
  nodeFlags = [],
}: ResponsePlaneOptions): Promise<ResponsePlane> {
  const upstream = await startScriptedUpstream(inputs);
  const held = await holdPorts(profileNames.length + 2);
  const [adminPort = 0, port = 0, ...rest] = held.ports;
  const ports = Object.fromEntries(profileNames.map((profile, index) => [profile, rest[index] ?? 0]));
  const lane = { name: "lane", codec: "HTTP1", barrierPort: port, upstreamPort: upstream.port } as const;
  const bootstrap = buildLanes([{ ...lane, ports: ports as Record<Profile, number> }]);
  const stopAround = async (): Promise<void> => {
    await upstream.stop();
    await held.release();
  };
  const proxy = await startStaticPlane({ plane, adminPort, bootstrap, nodeFlags }).catch(async (cause: unknown) => {
    await stopAround();
    throw cause;
  });
  const ask = async (place: number): Promise<readonly ClientAnswer[]> => {
    const { method = "GET", isClosed = false } = inputs[place] ?? {};
    const first = `${method} /${place} HTTP/1.1\r\nhost: a\r\n`;
    const second = "GET /end HTTP/1.1\r\nhost: end\r\nconnection: close\r\n\r\n";
    if (!isClosed) return parseAnswers(await askBytes(port, `${first}\r\n${second}`), [method, "GET"]);
    // Whether a server that closes without a word still takes another request is a race that no proxy can win.
    const text = await askBytes(port, `${first}connection: close\r\n\r\n`);
    return [...parseAnswers(text, [method]), ...parseAnswers(await askBytes(port, second), ["GET"])];
  };
  return {
    proxy,
    async askAll(places) {
      const found: (readonly ClientAnswer[])[] = [];
      let next = 0;
      const work = async (): Promise<void> => {
        for (let index = next++; index < places.length; index = next++) found[index] = await ask(places[index] ?? 0);
      };
      await Promise.all(Array.from({ length: atOnce }, work));
      return found;
    },
    async stop() {
      await proxy.stop();
      await stopAround();
    },
  };
}
