/**
 * Asks inputs of a proxy, several at a time. Each lane has listeners and an upstream of its own, and takes one input after
 * the other, so that what its upstream sees belongs to one input.
 */
import { holdPorts } from "../../../tools/free-ports.ts";
import type { DataPlane } from "../../envoy/envoy-process.ts";
import { type StaticPlane, startStaticPlane } from "../static-plane.ts";
import { buildLanes, type LaneOptions, type Profile, profileNames } from "./profiles.ts";
import { askBytes } from "./raw-client.ts";
import { type RecordingUpstream, type SeenRequest, startRecordingUpstream } from "./recording-upstream.ts";

/** What the client got, and what the upstream saw. */
export interface Asked<Answer> {
  readonly client: Answer;
  readonly seen: readonly SeenRequest[];
}

export interface Lanes {
  readonly proxy: StaticPlane;
  /** Asks all of them, each with `ask`; what came of each, in their order. */
  askAll<Input extends { readonly profile: Profile }, Answer>(
    inputs: readonly Input[],
    ask: (input: Input, port: number) => Promise<Answer>,
  ): Promise<readonly Asked<Answer>[]>;
  stop(): Promise<void>;
}

export interface LanesOptions {
  readonly plane: DataPlane;
  readonly codec: "HTTP1" | "HTTP2";
  readonly nodeFlags?: readonly string[];
}

interface Lane extends LaneOptions {
  readonly upstream: RecordingUpstream;
}

const laneCount = 6;

export async function startLanes({ plane, codec, nodeFlags = [] }: LanesOptions): Promise<Lanes> {
  const held = await holdPorts(laneCount * (profileNames.length + 1) + 1);
  const [adminPort = 0, ...free] = held.ports;
  const lanes = await Promise.all(
    Array.from({ length: laneCount }, (_, index) => startLane(`lane-${index}`, codec, free.splice(0, 7))),
  );
  const stopAround = async (): Promise<void> => {
    await Promise.all(lanes.map(({ upstream }) => upstream.stop()));
    await held.release();
  };
  try {
    const proxy = await startStaticPlane({ plane, adminPort, bootstrap: buildLanes(lanes), nodeFlags });
    return {
      proxy,
      askAll: (inputs, ask) => askAll(lanes, inputs, ask),
      async stop() {
        await proxy.stop();
        await stopAround();
      },
    };
  } catch (cause: unknown) {
    await stopAround();
    throw cause;
  }
}

async function startLane(name: string, codec: LaneOptions["codec"], free: readonly number[]): Promise<Lane> {
  const upstream = await startRecordingUpstream();
  const [barrierPort = 0, ...rest] = free;
  const ports = Object.fromEntries(profileNames.map((profile, index) => [profile, rest[index] ?? 0]));
  return { name, codec, ports: ports as Record<Profile, number>, barrierPort, upstreamPort: upstream.port, upstream };
}

async function askAll<Input extends { readonly profile: Profile }, Answer>(
  lanes: readonly Lane[],
  inputs: readonly Input[],
  ask: (input: Input, port: number) => Promise<Answer>,
): Promise<readonly Asked<Answer>[]> {
  const results: Asked<Answer>[] = [];
  let next = 0;
  const work = async (lane: Lane): Promise<void> => {
    for (let index = next++; index < inputs.length; index = next++) {
      const input = inputs[index];
      if (input === undefined) return;
      const client = await ask(input, lane.ports[input.profile]);
      await passBarrier(lane);
      const seen = lane.upstream.take().filter(({ line }) => !line.includes("/barrier"));
      results[index] = { client, seen };
    }
  };
  await Promise.all(lanes.map(work));
  return results;
}

/** A good request: the proxy answers still, and whatever it sent to the upstream before has got there. */
async function passBarrier({ barrierPort }: Lane): Promise<void> {
  const barrier = "GET /barrier HTTP/1.1\r\nhost: barrier\r\nconnection: close\r\n\r\n";
  const text = await askBytes(barrierPort, barrier);
  if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(`the proxy does not answer any more: ${text.slice(0, 100)}`);
}
