/**
 * A proxy of its own process under random load and random changes, held against a model of the answers. The sequence of
 * configurations is the seed's alone; which request meets which of them is the machine's.
 */
import { holdPorts } from "../../../tools/free-ports.ts";
import type { DataPlane } from "../../envoy/envoy-process.ts";
import { createTestAuthority, type IssuedCertificate } from "../../support/test-authority.ts";
import { drawStep, drawWorld, type Step } from "./changes.ts";
import { ModelControlPlane } from "./control-plane.ts";
import { type Deployment, deploy, listUsed } from "./deploy.ts";
import { createDraw, type Draw } from "./draw.ts";
import { allSlots } from "./draw-listeners.ts";
import { History } from "./history.ts";
import { Load } from "./load.ts";
import { LongPipes } from "./long-pipes.ts";
import { type Memory, type ProxyProcess, startProxyProcess } from "./proxy-process.ts";
import { createRandom } from "./random.ts";
import { Records } from "./records.ts";
import { pushRefused } from "./refused.ts";
import { type Fault, Report } from "./report.ts";
import { ResourceBuilder } from "./resource-builder.ts";
import { startUpstream, type Upstream, type UpstreamOptions } from "./upstreams.ts";
import type { World } from "./world.ts";

export interface ModelOptions {
  readonly seed: number;
  readonly changes: number;
  readonly dataPlane: DataPlane;
  readonly isDelta: boolean;
  readonly requestsPerChange: number;
  readonly spoil?: UpstreamOptions["spoil"];
  readonly say?: (line: string) => void;
}

export interface ModelResult {
  readonly changes: number;
  readonly requests: number;
  readonly cancelled: number;
  readonly raced: number;
  readonly cut: number;
  readonly longStreams: number;
  readonly refusals: number;
  readonly faults: readonly Fault[];
  /** What weights and hashes came to. */
  readonly patterns: string;
  /** At rest, after the first tenth of the changes and at the end. */
  readonly memory: { readonly early: Memory; readonly late: Memory };
}

const upstreamNames = ["http1", "http2", "tcp"].flatMap((protocol) =>
  Array.from({ length: protocol === "http1" ? 7 : 4 }, (_none, index) => `${protocol}-${index}`),
);
const certificateNames = ["cert-a", "cert-b", "cert-c", "cert-d"] as const;
/** Of a proxy that has ended. */
const noMemory: Memory = { heap: 0, resident: 0, resources: {} };
const [drainSeconds, workers] = [10, 12];

/** Rejects where it cannot begin; what goes wrong on the way is in the result. */
export async function runModel(options: ModelOptions): Promise<ModelResult> {
  const closers: (() => unknown)[] = [];
  try {
    return await new ModelRun(options, closers).run();
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

class ModelRun {
  readonly #options: ModelOptions;
  readonly #closers: (() => unknown)[];
  readonly #records = new Records();
  readonly #report = new Report();
  readonly #draw: Draw;
  readonly #upstreams = new Map<string, Upstream>();
  readonly #controlPlane = new ModelControlPlane();
  #refusals = 0;

  constructor(options: ModelOptions, closers: (() => unknown)[]) {
    this.#options = options;
    this.#closers = closers;
    this.#draw = createDraw(createRandom(options.seed));
  }

  async run(): Promise<ModelResult> {
    const { seed, changes } = this.#options;
    const ports = await this.#startUpstreams();
    const certificates = await issueCertificates();
    const world = drawWorld(this.#draw, upstreamNames, certificateNames);
    const history = new History({ ...world, clusters: new Map(), tables: new Map(), listeners: new Map() });
    const builder = new ResourceBuilder(ports, certificates);
    const deployment: Deployment = { history, controlPlane: this.#controlPlane, builder, grace: () => this.#grace() };
    await this.#controlPlane.start();
    this.#closers.push(() => this.#controlPlane.stop());
    const proxy = await this.#startProxy();
    await deploy(world, deployment);
    const parts = { history, records: this.#records, report: this.#report, drainMs: drainSeconds * 1000 };
    const draw = createDraw(createRandom(seed + 1));
    const load = new Load({ ...parts, ports, draw });
    this.#closers.push(() => load.close());
    const pipes = new LongPipes({ ...parts, load, draw: createDraw(createRandom(seed + 2)) });
    const run: Running = { history, load, pipes, proxy, deployment };
    const { done, early } = await this.#change(run);
    await this.#rest(run);
    load.close();
    if (!proxy.hasEnded()) await this.#expectNone(proxy, "downstream_cx_active");
    const wrong = load.patterns.judge();
    if (wrong !== undefined) this.#report.fail(wrong);
    const { requests, raced, cut, cancelled } = load.counts;
    const late = proxy.hasEnded() ? noMemory : await proxy.memory();
    const memory = { early: early ?? late, late };
    const rest = { faults: this.#report.faults, patterns: load.patterns.describe(), memory };
    if (proxy.hasEnded() || done < changes) this.#options.say?.(proxy.log().slice(-5000));
    return {
      changes: done,
      requests,
      raced,
      cut,
      cancelled,
      longStreams: pipes.finished,
      refusals: this.#refusals,
      ...rest,
    };
  }

  async #startUpstreams(): Promise<ReadonlyMap<string, number>> {
    const names = [...allSlots, ...upstreamNames];
    const held = await holdPorts(names.length);
    this.#closers.push(() => held.release());
    const ports = new Map(names.map((name, index) => [name, held.ports[index] ?? 0]));
    for (const name of upstreamNames) {
      const upstream = await startUpstream({
        ...{ name, port: ports.get(name) ?? 0, records: this.#records, spoil: this.#options.spoil },
      });
      this.#upstreams.set(name, upstream);
      this.#closers.push(() => upstream.stop());
    }
    return ports;
  }

  async #startProxy(): Promise<ProxyProcess> {
    const { dataPlane, isDelta } = this.#options;
    const proxy = await startProxyProcess({
      dataPlane,
      isDelta,
      controlPlanePort: this.#controlPlane.port,
      drainSeconds,
    });
    this.#closers.push(() => proxy.stop());
    return proxy;
  }

  /** One change after the other, with load all along; over when all are done or something is wrong. */
  async #change(run: Running): Promise<{ readonly done: number; readonly early: Memory | undefined }> {
    const { changes, say } = this.#options;
    const { load, history } = run;
    const firstTenth = Math.max(1, Math.floor(changes / 10));
    let [done, early] = [0, undefined as Memory | undefined];
    load.start(workers);
    while (done < changes && this.#report.faults.length === 0) {
      const step = drawStep(this.#draw, history.newest, certificateNames);
      this.#report.at(done + 1, step.name);
      await this.#perform(step, run);
      done += 1;
      if (done === firstTenth) {
        await this.#rest(run);
        early = run.proxy.hasEnded() ? noMemory : await run.proxy.memory();
        load.start(workers);
      }
      if (done % 100 === 0) say?.(`${done} changes, ${load.counts.requests} requests`);
    }
    return { done, early };
  }

  async #perform(step: Step, run: Running): Promise<void> {
    const { history, load, pipes, proxy } = run;
    const { requestsPerChange } = this.#options;
    const before = load.counts.requests;
    try {
      await Promise.all([this.#take(step, run), pipes.step()]);
    } catch (cause: unknown) {
      this.#report.fail(`${step.name}: ${String(cause)}`, { before: history.at(history.settled), after: step.world });
      return;
    }
    await this.#until(() => load.counts.requests >= before + requestsPerChange);
    load.nextRound();
    if (proxy.hasEnded()) this.#report.fail(`the proxy ended: ${proxy.log().slice(-5000)}`);
  }

  async #take(step: Step, { history, deployment }: Running): Promise<void> {
    const before = history.newest;
    if (step.way === "refused" && step.kind !== undefined) return this.#refuse(step.kind, before, deployment);
    const { world: after, way } = step;
    if (way === "restart") this.#controlPlane.stop();
    const { upstreams } = after;
    history.push({ ...before, upstreams });
    for (const [name, state] of upstreams) {
      if (before.upstreams.get(name) !== state) await this.#upstreams.get(name)?.turn(state);
    }
    if (way === "disconnect") this.#controlPlane.disconnect();
    if (way === "restart") await this.#controlPlane.start();
    await deploy(after, deployment);
  }

  async #refuse(kind: NonNullable<Step["kind"]>, world: World, deployment: Deployment): Promise<void> {
    const resources = deployment.builder.build(world);
    const used = kind === "rds" || kind === "sds" ? listUsed(world, kind) : [...resources[kind].keys()];
    if (used.length === 0) return;
    this.#refusals += 1;
    const { dataPlane } = this.#options;
    const random = this.#draw.random;
    const isNamed = dataPlane === "companion";
    const wrong = await pushRefused({ controlPlane: this.#controlPlane, random, resources, used, kind, isNamed });
    if (wrong !== undefined) this.#report.fail(wrong);
  }

  /** Envoy's acknowledgement comes before its worker has what was acknowledged. */
  #grace(): Promise<void> {
    const delayMs = this.#options.dataPlane === "envoy" ? 40 : 0;
    return delayMs === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, delayMs));
  }

  /** Nothing is under way. */
  async #rest({ load, pipes, proxy }: Running): Promise<void> {
    await load.pause();
    await pipes.end();
    if (proxy.hasEnded()) return;
    await this.#expectNone(proxy, "rq_active|rq_pending_active");
    if (this.#records.active > 0) this.#report.fail(`upstreams are still at ${this.#records.active} requests`);
    load.reviewAll();
  }

  /** Waits until the proxy counts no more of something, which it has to. */
  async #expectNone(proxy: ProxyProcess, names: string): Promise<void> {
    const end = performance.now() + 20_000;
    let left: readonly string[] = [];
    do {
      if (proxy.hasEnded()) return this.#report.fail(`the proxy ended: ${proxy.log().slice(-5000)}`);
      const stats = await proxy.admin(`stats?filter=${names}`).catch((cause: unknown) => `${String(cause)}: 1`);
      left = stats.split("\n").filter((line) => !/: 0$|^$|admin|cluster\.xds/.test(line));
      if (left.length === 0 && this.#records.active === 0) return;
      await new Promise((settle) => setTimeout(settle, 50));
    } while (performance.now() < end);
    if (left.length > 0) this.#report.fail(`with nothing under way the proxy still counts ${left.join(", ")}`);
  }

  async #until(isSo: () => boolean): Promise<void> {
    const end = performance.now() + 60_000;
    while (!isSo() && !this.#report.isFull && performance.now() < end)
      await new Promise((settle) => setTimeout(settle, 2));
  }
}

interface Running {
  readonly history: History;
  readonly load: Load;
  readonly pipes: LongPipes;
  readonly proxy: ProxyProcess;
  readonly deployment: Deployment;
}

async function issueCertificates(): Promise<ReadonlyMap<string, IssuedCertificate>> {
  const authority = await createTestAuthority("model");
  const issued = await Promise.all(certificateNames.map(async (name) => [name, await authority.issue(name)] as const));
  return new Map(issued);
}
