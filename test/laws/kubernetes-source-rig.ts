/** A Kubernetes source on a fake API server, with a clock that runs only as fast as a test says. */

import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import type { KubeClient } from "../../src/kube/kube-client.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { createKubernetesSource, type KubernetesSource } from "../../src/sources/kubernetes/kubernetes-source.ts";
import type { KubernetesLimits } from "../../src/sources/kubernetes/limits.ts";
import type { WatchStatus } from "../../src/sources/kubernetes/watch-status.ts";
import type { SourceSink } from "../../src/sources/source.ts";
import { FakeApiServer, type RawObject, type SeenRequest } from "../support/fake-api-server.ts";
import { TestClock } from "../support/test-clock.ts";
import { createReader, type Reader } from "./source-laws.ts";

export interface RigOptions {
  readonly kinds?: readonly string[];
  readonly limits?: Partial<KubernetesLimits>;
  readonly clock?: TestClock;
  /** What the source sees of the clock; the clock itself where not given. */
  readonly seenClock?: Clock;
  readonly tokenFile?: string;
  /** Prepares the server before the source starts. */
  readonly prepare?: (server: FakeApiServer, clock: TestClock) => void | Promise<void>;
}

export class KubernetesRig {
  readonly server: FakeApiServer;
  readonly clock: TestClock;
  readonly reader: Reader = createReader();
  readonly source: KubernetesSource;
  readonly #client: KubeClient;
  /** Resolves when start() has. */
  started: Promise<void> = Promise.resolve();

  private constructor(server: FakeApiServer, clock: TestClock, client: KubeClient, source: KubernetesSource) {
    this.server = server;
    this.clock = clock;
    this.source = source;
    this.#client = client;
  }

  static async open(options: RigOptions = {}): Promise<KubernetesRig> {
    const server = await FakeApiServer.start();
    const clock = options.clock ?? new TestClock();
    await options.prepare?.(server, clock);
    const seen = options.seenClock ?? clock;
    const kubeconfig = server.kubeconfig(options.tokenFile);
    const client = await createKubeClient({ kubeconfig, clock: seen, log: silentLog });
    const source = createKubernetesSource({
      client,
      kinds: options.kinds ?? ["Service"],
      systemNamespace: "istio-system",
      secretNamespaces: [],
      clock: seen,
      random: () => 0.5,
      log: silentLog,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    return new KubernetesRig(server, clock, client, source);
  }

  /** Opens a rig and starts its source; resolves when the source has started. */
  static async start(options: RigOptions = {}): Promise<KubernetesRig> {
    const rig = await KubernetesRig.open(options);
    rig.begin(rig.reader);
    await rig.until(() => rig.source.isSynced() && rig.source.listWatches().every(({ state }) => state !== "listing"));
    await rig.started;
    return rig;
  }

  begin(sink: SourceSink): void {
    this.started = this.source.start(sink);
  }

  /** Lets time pass in small steps, as fast as sockets can follow, until something holds; throws after two minutes of it. */
  async until(condition: () => boolean, stepMs = 20): Promise<void> {
    const limit = this.clock.monotonic() + 120_000;
    while (!condition()) {
      if (this.clock.monotonic() > limit) throw new Error(`never happened: ${condition.toString()}`);
      await this.pass(stepMs, stepMs);
    }
  }

  /** Lets a time pass in steps; after each one, sockets get their turn. */
  async pass(ms: number, stepMs = 20): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.clock.advance(Math.min(stepMs, ms - passed));
      await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
  }

  /** The services of the server, as the reader names them. */
  expected(): readonly string[] {
    return this.server.list("services").map(describeService).sort();
  }

  /** Waits until the reader has what the server has. */
  async converge(): Promise<void> {
    await this.until(() => JSON.stringify(this.reader.content()) === JSON.stringify(this.expected()));
  }

  watch(kind = "Service"): WatchStatus {
    const found = this.source.listWatches().find((each) => each.kind === kind);
    if (found === undefined) throw new Error(`${kind} is not watched`);
    return found;
  }

  /** Requests that open the watch itself, not the short ones that compare it with the server. */
  watchesOpened(plural = "services"): readonly SeenRequest[] {
    return this.server.watchRequests(plural).filter(({ query }) => query["allowWatchBookmarks"] === "true");
  }

  async close(): Promise<void> {
    await this.source.stop();
    this.#client.close();
    await this.server.close();
  }
}

export function rawService(name: string, port: number | string, metadata: Record<string, unknown> = {}): RawObject {
  return { metadata: { name, namespace: "default", ...metadata }, spec: { ports: [{ port }] } };
}

function describeService({ metadata, ...rest }: RawObject): string {
  const { ports } = rest["spec"] as { readonly ports: readonly { readonly port: unknown }[] };
  return `Service ${metadata.namespace}/${metadata.name} ${ports[0]?.port}`;
}

/** A line of a watch, as the server writes it. */
export function eventLine(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}
