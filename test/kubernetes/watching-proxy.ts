/**
 * A proxy that asks as Envoy does, takes everything, and remembers all of it: what a fault did to it can be read off
 * afterwards. It holds resources as Envoy would, so that its state can be compared with what the objects ask for.
 */
import { createHash } from "node:crypto";
import { isTypeName, typeNameOf, unpackAny } from "@meltemi/protos";
import { type Received, type Variant, XdsClient, type XdsStream } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const types = ["cds", "eds", "lds", "rds"] as const;
type Type = (typeof types)[number];
const shortOf = new Map(types.map((type) => [typeUrls[type], type]));

export interface ProxyIdentity {
  readonly id: string;
  readonly metadata: object;
}

export class WatchingProxy {
  readonly node: ProxyIdentity;
  readonly variant: Variant;
  readonly received: Received[] = [];
  #address: string;
  #client: XdsClient;
  #stream: XdsStream;
  readonly #held = new Map<Type, Map<string, string>>();
  /** Versions of single resources, which delta alone has. */
  readonly #versions = new Map<Type, Map<string, string>>(types.map((type) => [type, new Map()]));
  /** Decoded, of the types that name resources of others. */
  readonly #messages = new Map<Type, Map<string, Received["resources"][number]>>([
    ["cds", new Map()],
    ["lds", new Map()],
  ]);
  readonly #asked = new Map<Type, readonly string[]>();
  /** Refuses instead of taking, where it returns a reason. */
  refuse: ((response: Received) => string | undefined) | undefined;
  #isEnded = false;

  constructor(address: string, variant: Variant, node: ProxyIdentity) {
    this.node = node;
    this.variant = variant;
    this.#address = address;
    this.#client = new XdsClient(address);
    this.#stream = this.#open();
    this.#ask("cds", []);
    this.#ask("lds", []);
  }

  /**
   * Opens a new stream, as Envoy does when the last one ended: it says what it has, and asks for it again. `address` is
   * that of another replica.
   */
  reconnect(address = this.#address): void {
    this.stop();
    this.#address = address;
    this.#client = new XdsClient(this.#address);
    this.#isEnded = false;
    this.#stream = this.#open();
    for (const type of types) this.#askAnew(type);
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Resources that are held, by type and name; each as a hash of its bytes. */
  get held(): ReadonlyMap<Type, ReadonlyMap<string, string>> {
    return this.#held;
  }

  /** The same as one text, for comparisons and for messages. */
  state(): string {
    const lines = [...this.#held].flatMap(([type, resources]) =>
      [...resources].map(([name, hash]) => `${type} ${name} ${hash}`),
    );
    return lines.sort().join("\n");
  }

  holds(type: Type, name: string): boolean {
    return this.#held.get(type)?.has(name) === true;
  }

  /** Responses that would have emptied it: the first invariant of every fault. */
  emptied(): readonly string[] {
    return this.#emptied;
  }
  readonly #emptied: string[] = [];

  /** Responses of a type so far. */
  count(type: Type): number {
    return this.received.filter(({ typeUrl }) => typeUrl === typeUrls[type]).length;
  }

  stop(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #open(): XdsStream {
    const stream = this.#client.open(this.variant);
    void stream.ended.then(() => {
      if (stream === this.#stream) this.#isEnded = true;
    });
    void this.#run(stream);
    return stream;
  }

  async #run(stream: XdsStream): Promise<void> {
    for (;;) {
      const response = await stream.next(3_600_000).catch(() => undefined);
      if (response === undefined || stream !== this.#stream || this.#isEnded) return;
      this.#take(response);
    }
  }

  #take(response: Received): void {
    this.received.push(response);
    const type = shortOf.get(response.typeUrl);
    if (type === undefined) return;
    const reason = this.refuse?.(response);
    if (reason === undefined) this.#hold(type, response);
    this.#answer(type, response, reason);
    if (reason !== undefined) return;
    const messages = this.#messages.get(type) ?? new Map<string, Received["resources"][number]>();
    if (type === "cds") this.#follow("eds", clustersWithEndpoints(messages));
    if (type === "lds") this.#follow("rds", routesOf(messages));
  }

  #hold(type: Type, response: Received): void {
    const before = this.#held.get(type);
    const isWhole = this.variant === "sotw" && (type === "cds" || type === "lds");
    const next = new Map(isWhole ? [] : before);
    const messages = this.#messages.get(type);
    if (isWhole) messages?.clear();
    const asked = this.#asked.get(type) ?? [];
    for (const resource of response.resources) {
      // Told before the server heard that nobody asks for it any more: Envoy drops it.
      if ((type === "eds" || type === "rds") && !asked.includes(resource.name)) continue;
      next.set(resource.name, createHash("sha256").update(resource.bytes).digest("hex").slice(0, 12));
      messages?.set(resource.name, resource);
      this.#versions.get(type)?.set(resource.name, resource.version);
    }
    for (const name of response.removed) {
      next.delete(name);
      this.#versions.get(type)?.delete(name);
      messages?.delete(name);
    }
    this.#held.set(type, next);
    if ((before?.size ?? 0) > 0 && next.size === 0 && (type === "cds" || type === "lds")) {
      this.#emptied.push(`${type} ${response.version}`);
    }
  }

  #follow(type: Type, names: readonly string[]): void {
    const before = this.#asked.get(type) ?? [];
    if (names.length === before.length && names.every((name, index) => name === before[index])) return;
    this.#ask(type, names);
  }

  #ask(type: Type, names: readonly string[]): void {
    const before = this.#asked.get(type) ?? [];
    this.#asked.set(type, names);
    const head = { node: this.node, type_url: typeUrls[type] };
    for (const name of before) {
      if (names.includes(name)) continue;
      this.#held.get(type)?.delete(name);
      this.#versions.get(type)?.delete(name);
    }
    if (this.variant === "sotw")
      return void this.#send({ ...head, ...this.#lastTaken.get(type), resource_names: names });
    this.#send({
      ...head,
      resource_names_subscribe: names.filter((name) => !before.includes(name)),
      resource_names_unsubscribe: before.filter((name) => !names.includes(name)),
    });
  }

  #askAnew(type: Type): void {
    const head = { node: this.node, type_url: typeUrls[type] };
    const names = this.#asked.get(type) ?? [];
    const version = this.#lastTaken.get(type)?.version_info ?? "";
    if (this.variant === "sotw") this.#send({ ...head, version_info: version, resource_names: names });
    else {
      const versions = Object.fromEntries(this.#versions.get(type) ?? []);
      this.#send({ ...head, resource_names_subscribe: names, initial_resource_versions: versions });
    }
  }

  readonly #lastTaken = new Map<Type, { readonly version_info: string; readonly response_nonce: string }>();

  #answer(type: Type, { nonce, version }: Received, refused?: string): void {
    const head = { type_url: typeUrls[type], response_nonce: nonce };
    const error = refused === undefined ? {} : { error_detail: { code: 13, message: refused } };
    if (this.variant === "delta") return void this.#send({ ...head, ...error });
    const taken = refused === undefined ? version : (this.#lastTaken.get(type)?.version_info ?? "");
    this.#lastTaken.set(type, { version_info: taken, response_nonce: nonce });
    this.#send({ ...head, ...error, version_info: taken, resource_names: this.#asked.get(type) ?? [] });
  }

  #send(message: object): void {
    this.#stream.send(message);
  }
}

type Named = ReadonlyMap<string, { readonly message: Readonly<Record<string, unknown>> }>;

function clustersWithEndpoints(clusters: Named): readonly string[] {
  return [...clusters]
    .filter(([, { message }]) => message["type"] === "EDS")
    .map(
      ([name, { message }]) =>
        (message["eds_cluster_config"] as { readonly service_name?: string } | undefined)?.service_name || name,
    )
    .sort();
}

/** Names of all route configurations that HTTP connection managers ask for, wherever they stand in the listener. */
function routesOf(listeners: Named): readonly string[] {
  const names = new Set<string>();
  const visit = (key: string, value: unknown): void => {
    const name = key === "rds" ? (value as { readonly route_config_name?: string }).route_config_name : undefined;
    if (name !== undefined) names.add(name);
    for (const [partKey, part] of partsOf(value)) visit(partKey, part);
  };
  for (const { message } of listeners.values()) visit("", message);
  return [...names].sort();
}

/** What a message consists of; a packed one that is known is unpacked. */
function partsOf(value: unknown): readonly (readonly [string, unknown])[] {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  if (!("type_url" in value && "value" in value && ArrayBuffer.isView(value.value))) return Object.entries(value);
  const isKnown = isTypeName(typeNameOf(String(value.type_url)));
  return isKnown ? [["", unpackAny(value as Parameters<typeof unpackAny>[0]).message]] : [];
}
