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
  readonly #client: XdsClient;
  readonly #stream: XdsStream;
  readonly #held = new Map<Type, Map<string, string>>();
  /** Decoded, of the types that name resources of others. */
  readonly #messages = new Map<Type, Map<string, Received["resources"][number]>>([
    ["cds", new Map()],
    ["lds", new Map()],
  ]);
  readonly #asked = new Map<Type, readonly string[]>();
  /** Refuses instead of taking, where it returns a reason. */
  refuse: ((response: Received) => string | undefined) | undefined;
  #isEnded = false;

  constructor(
    address: string,
    variant: Variant,
    node: ProxyIdentity,
    held?: ReadonlyMap<Type, ReadonlyMap<string, string>>,
  ) {
    this.node = node;
    this.variant = variant;
    this.#client = new XdsClient(address);
    this.#stream = this.#client.open(variant);
    for (const [type, resources] of held ?? []) this.#held.set(type, new Map(resources));
    void this.#stream.ended.then(() => {
      this.#isEnded = true;
    });
    void this.#run();
    this.#ask("cds", []);
    this.#ask("lds", []);
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

  async #run(): Promise<void> {
    while (!this.#isEnded) {
      const response = await this.#stream.next(3_600_000).catch(() => undefined);
      if (response === undefined) return;
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
    for (const resource of response.resources) {
      next.set(resource.name, createHash("sha256").update(resource.bytes).digest("hex").slice(0, 12));
      messages?.set(resource.name, resource);
    }
    for (const name of response.removed) {
      next.delete(name);
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
    if (this.variant === "sotw")
      return void this.#send({ ...head, ...this.#lastTaken.get(type), resource_names: names });
    for (const name of before) if (!names.includes(name)) this.#held.get(type)?.delete(name);
    this.#send({
      ...head,
      resource_names_subscribe: names.filter((name) => !before.includes(name)),
      resource_names_unsubscribe: before.filter((name) => !names.includes(name)),
    });
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
