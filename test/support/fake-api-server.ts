/**
 * An API server in this process, over plain HTTP on the loopback address, that behaves as badly as a test asks: lists in
 * pages, watches with bookmarks, streamed lists, discovery, and faults by script. It checks no schema.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

export interface FakeKind {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
}

export type RawObject = { readonly [name: string]: unknown } & {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [name: string]: unknown };
};

/** One request that came, as tests look at it. */
export interface SeenRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string;
  readonly accept: string;
}

/** Answers in place of the server; true where it did. */
export type Fault = (request: SeenRequest, response: ServerResponse) => boolean;

interface WatchEvent {
  readonly type: string;
  readonly resource: string;
  readonly revision: number;
  readonly object: RawObject;
}

interface OpenWatch {
  readonly resource: string;
  /** Only later events are told. */
  readonly from: number;
  readonly response: ServerResponse;
}

const builtIn: readonly FakeKind[] = [
  { group: "", version: "v1", plural: "services", kind: "Service" },
  { group: "", version: "v1", plural: "pods", kind: "Pod" },
];

export class FakeApiServer {
  /** Every request, in order. */
  readonly requests: SeenRequest[] = [];
  /** Tried in order before the server's own answer. */
  readonly faults: Fault[] = [];
  /** Whether sendInitialEvents is understood. */
  canStreamLists = true;
  /** Lists are packed where the client takes it. */
  packsLists = false;
  /** Verbs of custom kinds as discovery tells them. */
  verbs: readonly string[] = ["create", "delete", "get", "list", "watch"];
  /** Tells nothing more to the watches that are open, and keeps them open. */
  #deaf = new Set<OpenWatch>();
  readonly #folder = mkdtempSync(join(tmpdir(), "meltemi-fake-api-"));
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #revision = 100;
  #compacted = 0;
  #uid = 0;
  #kinds: readonly FakeKind[] = builtIn;
  #objects = new Map<string, Map<string, RawObject>>();
  #events: WatchEvent[] = [];
  readonly #watches = new Set<OpenWatch>();

  static async start(): Promise<FakeApiServer> {
    const server = new FakeApiServer();
    await server.up();
    return server;
  }

  /** Path of a kubeconfig for this server; a token file in place of a token where one is given. */
  kubeconfig(tokenFile?: string): string {
    const path = join(this.#folder, "kubeconfig");
    const user = tokenFile === undefined ? { token: "secret-token" } : { tokenFile };
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "fake",
      contexts: [{ name: "fake", context: { cluster: "fake", user: "fake" } }],
      clusters: [
        { name: "fake", cluster: { server: `http://127.0.0.1:${this.#port}`, "insecure-skip-tls-verify": true } },
      ],
      users: [{ name: "fake", user }],
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  }

  get folder(): string {
    return this.#folder;
  }

  /** Watches that are open, of one resource ("services") or of all. */
  countWatches(plural?: string): number {
    return [...this.#watches].filter(({ resource }) => plural === undefined || resource.endsWith(`/${plural}`)).length;
  }

  /** Requests for lists of a resource, streamed or not, that are no comparison (limit=1). */
  listRequests(plural: string): readonly SeenRequest[] {
    return this.requests.filter(
      ({ path, query }) =>
        path.endsWith(`/${plural}`) &&
        (query["watch"] !== "true" || query["sendInitialEvents"] === "true") &&
        query["limit"] !== "1",
    );
  }

  watchRequests(plural: string): readonly SeenRequest[] {
    return this.requests.filter(
      ({ path, query }) =>
        path.endsWith(`/${plural}`) && query["watch"] === "true" && query["sendInitialEvents"] === undefined,
    );
  }

  /** Objects of a resource as they are now. */
  list(plural: string): readonly RawObject[] {
    return [...(this.#objects.get(this.#resourceOf(plural))?.values() ?? [])];
  }

  /** Starts on the port it had before, or on a free one. */
  async up(): Promise<void> {
    const server = createServer((request, response) => this.#answer(request, response));
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Ends all connections with a reset and listens no more. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    this.reset();
    await closed;
  }

  async close(): Promise<void> {
    await this.down();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Sends a TCP RST on every connection. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#watches.clear();
  }

  /** Ends watches in good order, as at their timeout. */
  endWatches(plural?: string): void {
    for (const watch of this.#watches) {
      if (plural !== undefined && !watch.resource.endsWith(`/${plural}`)) continue;
      this.#watches.delete(watch);
      watch.response.end();
    }
  }

  /** From now on the watches that are open tell nothing, though their connections stand. */
  deafen(): void {
    this.#deaf = new Set(this.#watches);
  }

  /** Writes bytes to the watches of a resource, as they are. */
  write(plural: string, bytes: string | Uint8Array): void {
    for (const { resource, response } of this.#watches) if (resource.endsWith(`/${plural}`)) response.write(bytes);
  }

  define(kind: FakeKind): void {
    this.#kinds = [...this.#kinds, kind];
  }

  /** Takes a custom kind away: its objects are gone without a word, its watches end. */
  undefine(plural: string): void {
    this.#kinds = this.#kinds.filter((kind) => kind.plural !== plural);
    for (const key of this.#objects.keys()) if (key.endsWith(`/${plural}`)) this.#objects.delete(key);
    this.endWatches(plural);
  }

  /** Creates or replaces an object; a new one gets a uid. Gives its resource version. */
  put(plural: string, object: RawObject): string {
    const resource = this.#resourceOf(plural);
    const key = keyOf(object);
    const known = this.#objects.get(resource)?.get(key);
    const uid = known?.metadata["uid"] ?? `uid-${++this.#uid}`;
    this.#record(known === undefined ? "ADDED" : "MODIFIED", resource, {
      ...object,
      metadata: { ...object.metadata, uid },
    });
    return String(this.#revision);
  }

  remove(plural: string, name: string, namespace = "default"): void {
    const resource = this.#resourceOf(plural);
    const known = this.#objects.get(resource)?.get(`${namespace}/${name}`);
    if (known !== undefined) this.#record("DELETED", resource, known);
  }

  /** Sends a bookmark with the newest resource version, as servers do each minute. */
  bookmark(): void {
    for (const watch of this.#watches)
      this.#send(watch, "BOOKMARK", versioned({ metadata: { name: "" } }, this.#revision));
  }

  /** Forgets all events so far: watches from before get 410. */
  compact(): void {
    this.#compacted = this.#revision;
    this.#events = [];
  }

  /** Everything as it is now, for restore(). */
  save(): () => void {
    const [revision, objects] = [this.#revision, new Map([...this.#objects].map(([key, map]) => [key, new Map(map)]))];
    return () => {
      this.#revision = revision;
      this.#objects = new Map([...objects].map(([key, map]) => [key, new Map(map)]));
      this.#events = this.#events.filter((event) => event.revision <= revision);
    };
  }

  #resourceOf(plural: string): string {
    const kind = this.#kinds.find((each) => each.plural === plural);
    if (kind === undefined) throw new Error(`the fake serves no ${plural}`);
    return `${kind.group}/${plural}`;
  }

  #record(type: string, resource: string, object: RawObject): void {
    this.#revision++;
    const stored = versioned(object, this.#revision);
    const map = this.#objects.get(resource) ?? new Map<string, RawObject>();
    this.#objects.set(resource, map);
    if (type === "DELETED") map.delete(keyOf(object));
    else map.set(keyOf(object), stored);
    this.#events.push({ type, resource, revision: this.#revision, object: stored });
    for (const watch of this.#watches) {
      if (watch.resource === resource && this.#revision > watch.from) this.#send(watch, type, stored);
    }
  }

  #send(watch: OpenWatch, type: string, object: unknown): void {
    if (!this.#deaf.has(watch)) watch.response.write(`${JSON.stringify({ type, object })}\n`);
  }

  #answer(message: IncomingMessage, response: ServerResponse): void {
    const url = new URL(message.url ?? "/", "http://fake");
    const request: SeenRequest = {
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      authorization: message.headers.authorization ?? "",
      accept: message.headers.accept ?? "",
    };
    this.requests.push(request);
    if (this.faults.some((fault) => fault(request, response))) return;
    if (url.pathname === "/readyz") {
      response.end("ok");
      return;
    }
    if (this.#discover(url.pathname, response)) return;
    const kind = this.#kinds.find(({ group, version, plural }) => {
      const prefix = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
      return url.pathname === `${prefix}/${plural}`;
    });
    if (kind === undefined) {
      refuse(response, 404, "NotFound", "404 page not found");
      return;
    }
    if (request.query["watch"] === "true") this.#watch(kind, request.query, response);
    else
      this.#list(kind, request, { response, takesGzip: (message.headers["accept-encoding"] ?? "").includes("gzip") });
  }

  #discover(path: string, response: ServerResponse): boolean {
    const found = /^\/apis\/([^/]+)(?:\/([^/]+))?$/.exec(path);
    if (found === null) return false;
    const kinds = this.#kinds.filter(({ group }) => group === found[1]);
    const inVersion = kinds.filter(({ version }) => version === found[2]);
    if (kinds.length === 0 || (found[2] !== undefined && inVersion.length === 0)) {
      refuse(response, 404, "NotFound", "404 page not found");
    } else if (found[2] === undefined) {
      respond(response, {
        kind: "APIGroup",
        versions: [...new Set(kinds.map(({ version }) => version))].map((version) => ({ version })),
      });
    } else {
      const resources = inVersion.map(({ plural, kind }) => ({ name: plural, kind, verbs: this.verbs }));
      respond(response, { kind: "APIResourceList", resources });
    }
    return true;
  }

  #list(
    kind: FakeKind,
    { query }: SeenRequest,
    { response, takesGzip }: { readonly response: ServerResponse; readonly takesGzip: boolean },
  ): void {
    const all = this.list(kind.plural);
    // The token holds the revision of the first page: pages are of one moment, as in etcd.
    const [revision, start] = (query["continue"] ?? `${this.#revision}:0`).split(":").map(Number);
    if ((revision ?? 0) < this.#compacted) {
      refuse(response, 410, "Expired", "The provided continue parameter is too old");
      return;
    }
    const limit = query["limit"] === undefined ? all.length : Number(query["limit"]);
    const end = (start ?? 0) + limit;
    const metadata = {
      resourceVersion: String(revision),
      ...(end < all.length ? { continue: `${revision}:${end}` } : {}),
    };
    const text = JSON.stringify({ kind: `${kind.kind}List`, metadata, items: all.slice(start, end) });
    if (this.packsLists && takesGzip) {
      response.setHeader("content-encoding", "gzip");
      response.end(gzipSync(text));
    } else {
      response.end(text);
    }
  }

  #watch(kind: FakeKind, query: SeenRequest["query"], response: ServerResponse): void {
    const resource = this.#resourceOf(kind.plural);
    const isStreamed = query["sendInitialEvents"] === "true";
    if (isStreamed && !this.canStreamLists) {
      refuse(
        response,
        422,
        "Invalid",
        "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
      );
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    const from = isStreamed ? 0 : Number(query["resourceVersion"]);
    const watch = { resource, from, response };
    this.#watches.add(watch);
    response.on("close", () => this.#watches.delete(watch));
    if (isStreamed) {
      for (const object of this.#objects.get(resource)?.values() ?? []) this.#send(watch, "ADDED", object);
      const annotations = { "k8s.io/initial-events-end": "true" };
      this.#send(watch, "BOOKMARK", { metadata: { resourceVersion: String(this.#revision), annotations } });
      return;
    }
    if (from < this.#compacted) {
      const status = { kind: "Status", code: 410, reason: "Expired", message: `too old resource version: ${from}` };
      this.#send(watch, "ERROR", status);
      response.end();
      return;
    }
    for (const event of this.#events) {
      if (event.resource === resource && event.revision > from) this.#send(watch, event.type, event.object);
    }
  }
}

function versioned(object: RawObject, revision: number): RawObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

function keyOf({ metadata }: RawObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}

function respond(response: ServerResponse, body: unknown): void {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(body));
}

/** Answers with an error as the API server does. */
export function refuse(response: ServerResponse, status: number, reason: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ kind: "Status", code: status, reason, message }));
}
