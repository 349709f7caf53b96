import { benchNamespace } from "./large-mesh.ts";
import { ProxyClient, type Received, type ShortType } from "./proxy-client.ts";
import { percentile } from "./statistics.ts";

/** What all proxies of a fleet received since the last reset. */
export interface FleetReading {
  readonly bytes: number;
  readonly messages: Readonly<Record<ShortType, number>>;
}

export interface Latencies {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lastMs: number;
}

export interface FleetOptions {
  readonly address: string;
  readonly proxies: number;
  readonly edsNames: readonly string[];
  readonly rdsNames: readonly string[];
}

const settleLimitMs = 300_000;

/** Many simulated proxies of one namespace, and a record of when each received what. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #clients: ProxyClient[] = [];
  readonly #received: Received[][];
  #onReceived = (): void => undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#received = Array.from({ length: options.proxies }, () => []);
  }

  /** Connects all proxies at once and waits until each has clusters, endpoints, listeners and routes. */
  async connect(): Promise<Latencies> {
    const startedAt = process.hrtime.bigint();
    const { address, edsNames, rdsNames } = this.#options;
    for (const [index, received] of this.#received.entries()) {
      const client = new ProxyClient({
        address,
        node: buildNode(index),
        edsNames,
        rdsNames,
        onReceived: (item) => {
          received.push(item);
          this.#onReceived();
        },
      });
      this.#clients.push(client);
    }
    return this.waitFor("rds", startedAt);
  }

  /** Waits until every proxy has received the type after `since`; latencies are counted from there. */
  async waitFor(type: ShortType, since: bigint): Promise<Latencies> {
    const arrival = (received: readonly Received[]): bigint | undefined =>
      received.find((item) => item.type === type && item.at > since)?.at;
    await this.#until(() => this.#received.every((received) => arrival(received) !== undefined));
    const ms = this.#received.map((received) => Number((arrival(received) ?? since) - since) / 1e6);
    return { p50Ms: percentile(ms, 0.5), p99Ms: percentile(ms, 0.99), lastMs: Math.max(...ms) };
  }

  /** Reads what came in since the last reset and starts anew. */
  take(): FleetReading {
    const messages = { cds: 0, eds: 0, lds: 0, rds: 0 };
    let bytes = 0;
    for (const received of this.#received) {
      for (const item of received.splice(0)) {
        bytes += item.bytes;
        messages[item.type] += 1;
      }
    }
    return { bytes, messages };
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  async #until(isDone: () => boolean): Promise<void> {
    const limit = Date.now() + settleLimitMs;
    while (!isDone()) {
      if (Date.now() > limit) throw new Error(`not all proxies were served within ${settleLimitMs / 1000} s`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#onReceived = () => {
          clearTimeout(timer);
          this.#onReceived = () => undefined;
          resolve();
        };
      });
    }
  }
}

function buildNode(index: number): { readonly id: string; readonly metadata: object } {
  const ip = `10.99.${index >> 8}.${index & 255}`;
  return {
    id: `sidecar~${ip}~client-${index}.${benchNamespace}~${benchNamespace}.svc.cluster.local`,
    metadata: {
      fields: {
        NAMESPACE: { string_value: benchNamespace },
        CLUSTER_ID: { string_value: "Kubernetes" },
        ISTIO_VERSION: { string_value: "1.31.0" },
      },
    },
  };
}
