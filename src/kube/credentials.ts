/**
 * Who we are for the API server: read from a kubeconfig, or from the files that a pod is given. @kubernetes/client-node
 * reads kubeconfigs and runs credential plugins; token files we read on our own, because it sends no token at all where
 * the file is empty, and throws where it is missing for a moment.
 */
import { readFile } from "node:fs/promises";
import type { Agent as HttpAgent } from "node:http";
import type { RequestOptions } from "node:https";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Cluster, KubeConfig, User } from "@kubernetes/client-node";
import { parse } from "yaml";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";

export interface TlsSettings {
  readonly ca?: RequestOptions["ca"];
  readonly cert?: RequestOptions["cert"];
  readonly key?: RequestOptions["key"];
  readonly pfx?: RequestOptions["pfx"];
  readonly passphrase?: RequestOptions["passphrase"];
  readonly servername?: RequestOptions["servername"];
  readonly rejectUnauthorized?: boolean;
}

/** Equal in identity as long as nothing changed. Never print it. */
export interface Credentials {
  readonly server: URL;
  /** "authorization" and what impersonation needs. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsSettings;
  /** Goes through the proxy that the kubeconfig names; undefined where it names none. */
  readonly proxy: HttpAgent | undefined;
}

export interface CredentialOptions {
  /** Path of a kubeconfig; where not given, the files of the pod count, then $KUBECONFIG and ~/.kube/config. */
  readonly kubeconfig?: string;
  /** Context of the kubeconfig; its current one where not given. */
  readonly context?: string;
  /** Directory of a pod's own credentials. */
  readonly serviceAccountDirectory?: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Token files rotate and credential plugins' tokens expire: what is this old is read again, as client-go does. */
const refreshMs = 60_000;
const defaultServiceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The credentials in use. What cannot be read again keeps its last good form, which is said in the log once. */
export class CredentialStore {
  readonly #options: CredentialOptions;
  #loaded: Loaded;
  #current: Credentials;
  #readAt: number;
  #reading: Promise<void> | undefined;
  #failure = "";

  /** Rejects where there is no usable kubeconfig, or no token where one is expected. */
  static async open(options: CredentialOptions): Promise<CredentialStore> {
    const loaded = await load(options);
    return new CredentialStore(options, loaded, await readCredentials(loaded));
  }

  private constructor(options: CredentialOptions, loaded: Loaded, current: Credentials) {
    this.#options = options;
    this.#loaded = loaded;
    this.#current = current;
    this.#readAt = options.clock.monotonic();
  }

  /** The last ones that could be read. */
  get current(): Credentials {
    return this.#current;
  }

  /** The credentials for a request that starts now. */
  async find(): Promise<Credentials> {
    if (this.#options.clock.monotonic() - this.#readAt >= refreshMs) await this.#read(false);
    return this.#current;
  }

  /** Reads everything anew after the server refused `used`. True where there are other credentials to try. */
  async renew(used: Credentials): Promise<boolean> {
    // Whoever comes second finds that somebody else has renewed them already.
    if (this.#current === used) await this.#read(true);
    return this.#current !== used;
  }

  /** One reading at a time; `isRefused` reads the kubeconfig too, which also makes a credential plugin run again. */
  #read(isRefused: boolean): Promise<void> {
    this.#reading ??= this.#readNow(isRefused).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readNow(isRefused: boolean): Promise<void> {
    const { clock, log } = this.#options;
    this.#readAt = clock.monotonic();
    try {
      const loaded = isRefused ? await load(this.#options) : this.#loaded;
      const next = await readCredentials(loaded);
      this.#loaded = loaded;
      if (!isSame(next, this.#current)) this.#current = next;
      this.#failure = "";
    } catch (cause: unknown) {
      const failure = describe(cause);
      if (failure !== this.#failure)
        log.warn("credentials cannot be read again, the last ones stay", { error: failure });
      this.#failure = failure;
    }
  }
}

interface Loaded {
  readonly config: KubeConfig;
  readonly cluster: Cluster;
  readonly tokenFile: string | undefined;
}

/** Reads the kubeconfig, or what stands in its place. Imported late: the library takes 0.6 s and some 80 MB. */
async function load(options: CredentialOptions): Promise<Loaded> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  const directory = options.serviceAccountDirectory ?? defaultServiceAccountDirectory;
  let path = options.kubeconfig;
  if (path !== undefined) config.loadFromFile(path);
  else if (await isReadable(join(directory, "token"))) config.loadFromCluster();
  if (path === undefined && (config.getCurrentCluster()?.server ?? "undefined").includes("undefined")) {
    config.loadFromDefault();
    path = join(homedir(), ".kube", "config");
  }
  if (options.context !== undefined) config.setCurrentContext(options.context);
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  const isFallback = cluster?.name === "cluster" && cluster.server === "http://localhost:8080";
  if (cluster === null || isFallback) {
    const where = options.kubeconfig ?? "no pod, $KUBECONFIG or ~/.kube/config";
    throw new Error(`there is no API server to connect to: ${where} names none`);
  }
  const inPod = user?.authProvider?.config?.["tokenFile"];
  const tokenFile: unknown = inPod ?? (path === undefined ? undefined : await findTokenFile(path, user?.name));
  if (user !== null && inPod !== undefined) {
    // Without its provider the library leaves the token to us.
    config.users = config.users.map((each) => (each.name === user.name ? withoutProvider(each) : each));
  }
  return { config, cluster, tokenFile: typeof tokenFile === "string" ? tokenFile : undefined };
}

function withoutProvider(user: User): User {
  const { authProvider: _, ...rest } = user;
  return rest;
}

/** The field `tokenFile` of a user, which the library passes over; relative to the kubeconfig, as in client-go. */
async function findTokenFile(path: string, userName: string | undefined): Promise<string | undefined> {
  const raw: unknown = parse(await readFile(path, "utf8").catch(() => ""));
  const users: unknown = field(raw, "users");
  const found: unknown = Array.isArray(users)
    ? users.find((each: unknown) => field(each, "name") === userName)
    : undefined;
  const tokenFile = field(field(found, "user"), "tokenFile");
  if (typeof tokenFile !== "string" || tokenFile === "") return undefined;
  return isAbsolute(tokenFile) ? tokenFile : join(dirname(path), tokenFile);
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

async function readCredentials({ config, cluster, tokenFile }: Loaded): Promise<Credentials> {
  const options: RequestOptions = { headers: {} };
  await config.applyToHTTPSOptions(options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (typeof options.auth === "string") {
    headers["authorization"] = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  }
  if (tokenFile !== undefined) {
    const token = (await readFile(tokenFile, "utf8")).trim();
    if (token === "") throw new Error(`the token file ${tokenFile} is empty`);
    headers["authorization"] = `Bearer ${token}`;
  }
  const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized } = options;
  const given = Object.entries({ ca, cert, key, pfx, passphrase, servername, rejectUnauthorized });
  const tls: TlsSettings = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  const isProxied = cluster.proxyUrl !== undefined && cluster.proxyUrl !== "";
  return {
    server: new URL(cluster.server),
    headers,
    tls,
    proxy: isProxied ? (options.agent as HttpAgent) : undefined,
  };
}

function isSame(a: Credentials, b: Credentials): boolean {
  return a.server.href === b.server.href && isDeepStrictEqual(a.headers, b.headers) && isDeepStrictEqual(a.tls, b.tls);
}

async function isReadable(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    () => false,
  );
}

/** The first line only, and of a plugin that failed nothing but that: its output may hold a token. */
function describe(cause: unknown): string {
  const { message, code } =
    cause instanceof Error ? (cause as NodeJS.ErrnoException) : { message: "", code: undefined };
  return code !== undefined || message.startsWith("the token file") ? message : "the kubeconfig or its plugin failed";
}
