/**
 * Where a ConfigSource leads (docs: core.v3.ConfigSource): to the aggregated stream, to a stream of its own, or to a file.
 */
import type { ApiConfigSource, ConfigSource, GrpcService, Node } from "@meltemi/protos/envoy/config/core/v3";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import type { LongWork } from "../lib/long-work.ts";
import type { Stats } from "../lib/stats.ts";
import type { ClusterManager } from "../upstream/types.ts";
import { subscribeToFile } from "./file-source.ts";
import { type GrpcTarget, openGrpcStream } from "./grpc-stream.ts";
import { adsMethods, type ResourceType } from "./resource-types.ts";
import type { ResourceHandler, Subscription } from "./resource-update.ts";
import { XdsClient } from "./xds-client.ts";

export interface ConfigSourcesOptions {
  readonly node: Node;
  readonly adsConfig: ApiConfigSource | undefined;
  readonly clusters: Pick<ClusterManager, "find">;
  /** Resolves when a cluster of the bootstrap can be used; at once for any other. */
  readonly whenUsable: (cluster: string) => Promise<unknown>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly stats: Stats;
  readonly longWork?: LongWork | undefined;
}

/** Default of initial_fetch_timeout. */
const initialFetchTimeoutMs = 15_000;

export class ConfigSources {
  readonly #options: ConfigSourcesOptions;
  readonly #ads: XdsClient | undefined;
  readonly #clients = new Set<XdsClient>();

  /** Throws ConfigError where the aggregated stream cannot be had. */
  constructor(options: ConfigSourcesOptions) {
    this.#options = options;
    const { adsConfig } = options;
    this.#ads =
      adsConfig === undefined
        ? undefined
        : within("dynamic_resources.ads_config", () =>
            this.#createClient(adsConfig, adsMethods, options.stats.scope("control_plane")),
          );
  }

  /** Opens the aggregated stream, for all subscriptions to it that there are and will be. */
  start(): void {
    this.#ads?.start();
  }

  /** Throws ConfigError for a source that is not supported. `type` may have one subscription on the aggregated stream. */
  subscribe(source: ConfigSource | undefined, type: ResourceType, handler: ResourceHandler): Subscription {
    if (isAds(source)) {
      if (this.#ads === undefined) throw new ConfigError("ads", "there is no dynamic_resources.ads_config");
      return this.#ads.subscribe(type, handler);
    }
    const file = pathOf(source);
    if (file !== undefined) return subscribeToFile({ ...file, log: this.#options.log }, type, handler);
    const api = need("api_config_source", source.api_config_source);
    return within("api_config_source", () => this.#subscribeAlone(api, type, handler));
  }

  close(): void {
    this.#ads?.close();
    for (const client of this.#clients) client.close();
    this.#clients.clear();
  }

  #subscribeAlone(api: ApiConfigSource, type: ResourceType, handler: ResourceHandler): Subscription {
    const methods = { sotw: type.sotwMethod, delta: type.deltaMethod };
    const client = this.#createClient(api, methods, this.#options.stats.scope(`control_plane.${type.kind}`));
    this.#clients.add(client);
    const subscription = client.subscribe(type, handler);
    client.start();
    return {
      want: subscription.want,
      close: () => {
        client.close();
        this.#clients.delete(client);
      },
    };
  }

  #createClient(
    api: ApiConfigSource,
    methods: { readonly sotw: string; readonly delta: string },
    stats: Stats,
  ): XdsClient {
    const isDelta = isDeltaApi(api);
    const target = this.#targetOf(api);
    const { node, clock, random, log, longWork } = this.#options;
    return new XdsClient({
      open: (method, events) => openGrpcStream(target, method, events),
      method: isDelta ? methods.delta : methods.sotw,
      sendsNodeOnce: api.set_node_on_first_message_only ?? false,
      ...{ isDelta, node, clock, random, log, stats, longWork },
    });
  }

  #targetOf({ grpc_services: services = [] }: ApiConfigSource): GrpcTarget {
    const [service] = services;
    const cluster = need("grpc_services[0].envoy_grpc.cluster_name", service?.envoy_grpc?.cluster_name);
    return {
      clusters: this.#options.clusters,
      cluster,
      authority: service?.envoy_grpc?.authority ?? "",
      metadata: metadataOf(service),
      whenUsable: () => this.#options.whenUsable(cluster),
    };
  }
}

/** Equal for sources that can share a subscription, with `name` for those that have a stream for each name. */
export function keyOfSource(source: ConfigSource | undefined, name: string): string {
  if (isAds(source)) return "ads";
  const file = pathOf(source);
  if (file !== undefined) return `file ${file.path} ${file.directory}`;
  return `grpc ${name} ${JSON.stringify(source.api_config_source?.grpc_services ?? [])}`;
}

/** Milliseconds that a first answer is waited for; undefined for as long as it takes. */
export function fetchTimeoutOf(source: ConfigSource | undefined): number | undefined {
  const stated = source?.initial_fetch_timeout;
  if (stated === undefined) return initialFetchTimeoutMs;
  const ms = Number(stated.seconds ?? 0) * 1000 + (stated.nanos ?? 0) / 1e6;
  return ms === 0 ? undefined : ms;
}

function isAds(source: ConfigSource | undefined): source is undefined | (ConfigSource & { readonly ads: object }) {
  // "self" is where the configuration that says so came from: the aggregated stream, for all that is not in a file.
  return source === undefined || source.ads !== undefined || source.self !== undefined;
}

function pathOf(source: ConfigSource): { readonly path: string; readonly directory: string } | undefined {
  const path = source.path_config_source?.path ?? source.path ?? "";
  return path === "" ? undefined : { path, directory: source.path_config_source?.watched_directory?.path ?? "" };
}

function isDeltaApi({ api_type: type = "DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE" }: ApiConfigSource): boolean {
  if (type === "GRPC") return false;
  if (type === "DELTA_GRPC") return true;
  throw new ConfigError("api_type", `${type} is not supported`);
}

function metadataOf(service: GrpcService | undefined): readonly (readonly [string, string])[] {
  return (service?.initial_metadata ?? []).map(({ key = "", value = "" }) => [key, value] as const);
}
