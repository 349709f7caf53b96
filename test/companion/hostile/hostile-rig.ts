/** The proxy, the server and control plane that it has, clients that behave and clients that do not. */
import { holdPorts } from "../../../tools/free-ports.ts";
import { type DataPlane, eventually } from "../../envoy/envoy-process.ts";
import { type Actor, startActor } from "./actor.ts";
import type { AttackerCommands } from "./attacker.ts";
import type { ControlPlaneCommands, Heard } from "./control-plane.ts";
import { hostOfEdition } from "./good-configuration.ts";
import type { LoadCommands, LoadFigures } from "./good-load.ts";
import { ProxyProcess } from "./proxy-process.ts";
import type { ClientScenario, ControlPlaneScenario } from "./scenarios.ts";
import { watchStolenTime } from "./stolen-time.ts";
import type { UpstreamCommands } from "./upstream.ts";

export interface RigOptions {
  readonly dataPlane: DataPlane;
  readonly isDelta: boolean;
  /** Requests a second of those that behave. */
  readonly rate: number;
  /** How long each attack goes on when all attackers are there. */
  readonly holdMs: number;
  /** Share of the full sizes. */
  readonly scale: number;
}

/** What was seen in one scenario, or without any. */
export interface Outcome {
  readonly load: LoadFigures;
  /** Bytes. */
  readonly memory: { readonly before: number; readonly peak: number; readonly after: number };
  /** What came back to attackers. */
  readonly seen: Readonly<Record<string, number>>;
  /** Gauges that are not what they were before. */
  readonly leftOver: Readonly<Record<string, number>>;
  readonly upstreamBytes: number;
  /** Share of the time that others on the same processors took from this machine, from 0 to 1. */
  readonly stolen: number;
  readonly heard?: Heard;
}

/** Two: the work of one attacker must not be what slows another down. */
const attackerCount = 2;

export class HostileRig {
  readonly proxy: ProxyProcess;
  readonly #options: RigOptions;
  readonly #ports: { readonly port: number; readonly tlsPort: number };
  readonly #upstream: Actor<UpstreamCommands>;
  readonly #controlPlane: Actor<ControlPlaneCommands>;
  readonly #load: Actor<LoadCommands>;
  readonly #attackers: readonly Actor<AttackerCommands>[];
  readonly #release: () => Promise<void>;
  #edition = 0;

  private constructor(
    options: RigOptions,
    parts: {
      readonly proxy: ProxyProcess;
      readonly ports: { readonly port: number; readonly tlsPort: number };
      readonly upstream: Actor<UpstreamCommands>;
      readonly controlPlane: Actor<ControlPlaneCommands>;
      readonly release: () => Promise<void>;
    },
  ) {
    this.#options = options;
    this.proxy = parts.proxy;
    this.#ports = parts.ports;
    this.#upstream = parts.upstream;
    this.#controlPlane = parts.controlPlane;
    this.#release = parts.release;
    this.#load = startActor<LoadCommands>(here("good-load.ts"));
    this.#attackers = Array.from({ length: attackerCount }, () => startActor<AttackerCommands>(here("attacker.ts")));
  }

  static async start(options: RigOptions): Promise<HostileRig> {
    const { ports, release } = await holdPorts(3);
    const [port = 0, tlsPort = 0, adminPort = 0] = ports;
    const upstream = startActor<UpstreamCommands>(here("upstream.ts"));
    const controlPlane = startActor<ControlPlaneCommands>(here("control-plane.ts"));
    const controlPlanePort = await controlPlane.call("start", {
      ...{ port, tlsPort },
      upstreamPort: await upstream.call("listen"),
    });
    const { dataPlane, isDelta } = options;
    const proxy = await ProxyProcess.start({ dataPlane, isDelta, adminPort, controlPlanePort });
    const rig = new HostileRig(options, { proxy, upstream, controlPlane, release, ports: { port, tlsPort } });
    await rig.#waitForEdition();
    return rig;
  }

  async stop(): Promise<void> {
    await Promise.all([
      ...this.#attackers.map((attacker) => attacker.stop()),
      this.#load.stop(),
      this.proxy.stop(),
      this.#controlPlane.stop(),
      this.#upstream.stop(),
    ]);
    await this.#release();
  }

  /** Those that behave, for `ms`, and nobody else. */
  measureUndisturbed(ms: number): Promise<Outcome> {
    return this.#measure(async () => {
      await sleep(ms);
      return { seen: {} };
    });
  }

  /** An attack of clients, and its end. */
  attack({ attack: name, clients }: ClientScenario): Promise<Outcome> {
    const each = Math.ceil((clients * (clients > attackerCount * 10 ? this.#options.scale : 1)) / attackerCount);
    return this.#measure(async () => {
      await Promise.all(this.#attackers.map((one) => one.call("begin", { name, ...this.#ports, clients: each })));
      await sleep(this.#options.holdMs);
      const all = await Promise.all(this.#attackers.map((one) => one.call("end")));
      return { seen: sum(all) };
    });
  }

  /** A control plane out of its mind, and its recovery: rejects where what it says then is not taken. */
  confuse({ garbage: name, isCutOff }: ControlPlaneScenario): Promise<Outcome> {
    const { scale, holdMs } = this.#options;
    return this.#measure(async () => {
      await this.#controlPlane.call("lose", { name, scale });
      await sleep(holdMs);
      this.#edition += 1;
      const heard = await this.#controlPlane.call("recover", this.#edition);
      if (isCutOff) await this.#controlPlane.call("hangUp");
      await this.#waitForEdition();
      return { seen: {}, heard };
    });
  }

  async #measure(act: () => Promise<Pick<Outcome, "seen" | "heard">>): Promise<Outcome> {
    const gauges = await this.#readGauges();
    await this.#upstream.call("takeSentBytes");
    const before = this.proxy.takeMemory().now;
    const readStolen = watchStolenTime();
    await this.#load.call("begin", { port: this.#ports.port, rate: this.#options.rate });
    const came = await act();
    const load = await this.#load.call("end");
    const stolen = readStolen();
    const leftOver = await this.#waitForGauges(gauges);
    const { now, peak } = this.proxy.takeMemory();
    const upstreamBytes = await this.#upstream.call("takeSentBytes");
    return { load, stolen, ...came, memory: { before, peak, after: now }, leftOver, upstreamBytes };
  }

  #readGauges(): Promise<ReadonlyMap<string, number>> {
    return this.proxy.gauges("\\.(downstream_(cx|pre_cx|rq)_active|upstream_rq_(active|pending_active))$");
  }

  /** Connections of those that behave may come; all else has to go. */
  async #waitForGauges(before: ReadonlyMap<string, number>): Promise<Readonly<Record<string, number>>> {
    const loadConnections = 25;
    let left: readonly (readonly [string, number])[] = [];
    const isOver = async (): Promise<boolean> => {
      left = [...(await this.#readGauges())].filter(([name, value]) => {
        const allowed = name.includes("downstream_cx_active") ? loadConnections : (before.get(name) ?? 0);
        return value > allowed;
      });
      return left.length === 0;
    };
    await eventually("gauges are what they were", isOver).catch(() => undefined);
    return Object.fromEntries(left);
  }

  async #waitForEdition(): Promise<void> {
    const { port } = this.#ports;
    await eventually(`edition ${this.#edition} is in use`, async () => {
      if (!this.proxy.isAlive) return false;
      return (await askStatus(port, hostOfEdition(this.#edition))) === 200;
    }).catch((cause: unknown) => {
      throw new Error(`${String(cause)}\n${this.proxy.log()}`);
    });
  }
}

function here(name: string): URL {
  return new URL(name, import.meta.url);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function askStatus(port: number, host: string): Promise<number> {
  const { request } = await import("node:http");
  return await new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, headers: { host }, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.on("error", reject);
    call.end();
  });
}

function sum(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const total: Record<string, number> = {};
  for (const each of all) {
    for (const [name, count] of Object.entries(each)) total[name] = (total[name] ?? 0) + count;
  }
  return total;
}
