/**
 * A real Kubernetes API on this machine: etcd and kube-apiserver as plain processes on free ports of the loopback
 * address, with RBAC, admission webhooks and CRDs. There is no kubelet: pods are objects with the status that their
 * writer gives them. The controller-manager runs where it is asked for (garbage collection, EndpointSlices, tokens).
 */
import { execFile } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify as stringifyYaml } from "yaml";
import { findFreePort, findFreePorts } from "../free-ports.ts";
import { type Child, startChild } from "./child.ts";
import { type ClusterPrograms, clusterPrograms } from "./programs.ts";

export interface ClusterOptions {
  /** Starts kube-controller-manager too. */
  readonly controllerManager?: boolean;
  /** Where data, certificates and logs go; a temporary folder, removed at the end, where not given. */
  readonly folder?: string;
  /** More flags of the API server, such as "--watch-cache=false". */
  readonly apiServerArgs?: readonly string[];
  readonly progress?: (line: string) => void;
}

export interface Cluster {
  /** "https://127.0.0.1:PORT". */
  readonly url: string;
  /** Path of an administrator's kubeconfig. */
  readonly kubeconfig: string;
  readonly folder: string;
  readonly programs: ClusterPrograms;
  /** Path of a kubeconfig with a bearer token of a service account, which must exist, for the given address of the API. */
  kubeconfigOf(namespace: string, serviceAccount: string, url?: string): Promise<string>;
  /** Path of an administrator's kubeconfig that goes to another address, such as a proxy before the API server. */
  kubeconfigFor(url: string): string;
  /** Runs kubectl as administrator, `input` on its standard input; gives its standard output, rejects with its errors. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  helm(args: readonly string[]): Promise<string>;
  readonly apiServer: ServerControl;
  /** Starts one more API server over the same data; `etcdUrl` where it reaches etcd by another way than the first. */
  startSecondApiServer(options?: { readonly etcdUrl?: string }): Promise<SecondApiServer>;
  readonly etcd: ServerControl & {
    /** "http://127.0.0.1:PORT". */
    url(): string;
    /** Forgets all revisions but the last, as etcd does in time: watches and pages that need older ones get 410. */
    compact(): Promise<void>;
    /** Keeps a copy of the data (etcd is stopped for it), for restore(). */
    save(): Promise<void>;
    /** Goes back to the saved copy: resource versions go backwards, as after a disaster. */
    restore(): Promise<void>;
  };
  stop(): Promise<void>;
}

export interface SecondApiServer extends ServerControl {
  /** It shows the same certificate as the first one, and takes the same credentials. */
  readonly url: string;
}

export interface ServerControl {
  pid(): number;
  /** SIGTERM, and wait for the end. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same data, and waits until it is ready. Nothing where it runs. */
  start(): Promise<void>;
  /** SIGSTOP and SIGCONT: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
}

/** Starts a cluster; resolves when the API server is ready. Rejects with the end of the log of what failed. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const programs = await clusterPrograms(options.progress);
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "meltemi-cluster-"));
  mkdirSync(folder, { recursive: true });
  const cluster = new LocalCluster(programs, folder, options);
  try {
    await cluster.start();
  } catch (cause) {
    await cluster.stop();
    throw cause;
  }
  return cluster;
}

class LocalCluster implements Cluster {
  readonly programs: ClusterPrograms;
  readonly folder: string;
  readonly kubeconfig: string;
  readonly apiServer: Cluster["apiServer"];
  readonly etcd: Cluster["etcd"];
  readonly #options: ClusterOptions;
  readonly #adminToken = randomBytes(24).toString("hex");
  readonly #children = new Map<string, Child>();
  #etcdPort = 0;
  #peerPort = 0;
  #apiPort = 0;

  constructor(programs: ClusterPrograms, folder: string, options: ClusterOptions) {
    this.programs = programs;
    this.folder = folder;
    this.#options = options;
    this.kubeconfig = join(folder, "kubeconfig");
    this.apiServer = this.#control("kube-apiserver", () => this.#startApiServer(this.#apiPort));
    this.etcd = {
      ...this.#control("etcd", () => this.#startEtcd()),
      url: () => `http://127.0.0.1:${this.#etcdPort}`,
      compact: () => this.#compact(),
      save: () => this.#whileEtcdStands((data, copy) => cpSync(data, copy, { recursive: true })),
      restore: () =>
        this.#whileEtcdStands((data, copy) => {
          rmSync(data, { recursive: true });
          cpSync(copy, data, { recursive: true });
        }),
    };
  }

  get url(): string {
    return `https://127.0.0.1:${this.#apiPort}`;
  }

  async start(): Promise<void> {
    writeKeys(this.folder, this.#adminToken);
    [this.#etcdPort = 0, this.#peerPort = 0, this.#apiPort = 0] = await findFreePorts(3);
    await this.#startEtcd();
    await this.#startApiServer(this.#apiPort);
    this.#writeKubeconfig(this.kubeconfig, { token: this.#adminToken, url: this.url });
    if (this.#options.controllerManager === true) this.#startControllerManager();
  }

  async stop(): Promise<void> {
    // The API server before etcd: it would fill its log with complaints. Data of a test is not worth a polite end.
    for (const child of [...this.#children.values()].reverse()) await child.end("SIGTERM", 2000);
    if (this.#options.folder === undefined) rmSync(this.folder, { recursive: true, force: true });
  }

  kubeconfigFor(url: string): string {
    const path = join(this.folder, `kubeconfig-${new URL(url).port}`);
    this.#writeKubeconfig(path, { token: this.#adminToken, url });
    return path;
  }

  async kubeconfigOf(namespace: string, serviceAccount: string, url = this.url): Promise<string> {
    const token = await this.kubectl(["-n", namespace, "create", "token", serviceAccount, "--duration", "8h"]);
    const path = join(this.folder, `kubeconfig-${namespace}-${serviceAccount}-${new URL(url).port}`);
    this.#writeKubeconfig(path, { token: token.trim(), url });
    return path;
  }

  kubectl(args: readonly string[], input?: string): Promise<string> {
    return this.#run(this.programs.kubectl, args, input);
  }

  helm(args: readonly string[]): Promise<string> {
    return this.#run(this.programs.helm, args);
  }

  #run(program: string, args: readonly string[], input?: string): Promise<string> {
    // A home of its own: nothing of the user's settings and caches is read or written.
    const env = { ...process.env, KUBECONFIG: this.kubeconfig, HOME: this.folder };
    return new Promise((resolve, reject) => {
      const options = { env, maxBuffer: 256 * 1024 * 1024, timeout: 120_000 };
      const child = execFile(program, [...args], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${args.join(" ").slice(0, 300)}: ${stderr.trim() || error.message}`));
      });
      child.stdin?.on("error", () => undefined);
      child.stdin?.end(input ?? "");
    });
  }

  #control(name: string, start: () => Promise<void>): ServerControl {
    const child = (): Child => {
      const found = this.#children.get(name);
      if (found === undefined) throw new Error(`${name} was not started`);
      return found;
    };
    return {
      pid: () => child().pid,
      stop: () => child().end(),
      kill: () => child().end("SIGKILL"),
      start: async () => {
        if (this.#children.get(name)?.exit !== undefined) await start();
      },
      pause: () => child().signal("SIGSTOP"),
      resume: () => child().signal("SIGCONT"),
    };
  }

  async #startEtcd(): Promise<void> {
    const [client, peer] = [`http://127.0.0.1:${this.#etcdPort}`, `http://127.0.0.1:${this.#peerPort}`];
    this.#launch("etcd", this.programs.etcd, [
      `--data-dir=${join(this.folder, "etcd")}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      // A machine that loses power loses a test, not a cluster.
      "--unsafe-no-fsync",
      "--log-level=warn",
    ]);
    await this.#waitFor("etcd", async () => (await fetch(`${client}/health`)).ok);
  }

  async startSecondApiServer({ etcdUrl = this.etcd.url() } = {}): Promise<SecondApiServer> {
    const port = await findFreePort();
    const name = `kube-apiserver-${port}`;
    const start = (): Promise<void> => this.#startApiServer(port, { name, etcdUrl });
    await start();
    return { url: `https://127.0.0.1:${port}`, ...this.#control(name, start) };
  }

  async #startApiServer(
    port: number,
    { name, etcdUrl } = { name: "kube-apiserver", etcdUrl: this.etcd.url() },
  ): Promise<void> {
    const file = (name: string): string => join(this.folder, name);
    this.#launch(name, this.programs.apiServer, [
      `--etcd-servers=${etcdUrl}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      `--secure-port=${port}`,
      // Makes a certificate of its own at the first start.
      `--cert-dir=${file("certs")}`,
      "--service-cluster-ip-range=10.96.0.0/16",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${file("service-account.pub")}`,
      `--service-account-signing-key-file=${file("service-account.key")}`,
      "--api-audiences=kubernetes.default.svc,istio-ca",
      `--token-auth-file=${file("tokens.csv")}`,
      "--authorization-mode=RBAC",
      // Without the controller-manager nobody makes the service accounts that it would put into pods.
      "--disable-admission-plugins=ServiceAccount",
      // An API server alone has nobody to be fair to; without this it ends in the middle of tests when it is paused.
      "--endpoint-reconciler-type=none",
      ...(this.#options.apiServerArgs ?? []),
    ]);
    await this.#waitFor(name, () => this.#isReady(`https://127.0.0.1:${port}`));
  }

  #startControllerManager(): void {
    this.#launch("kube-controller-manager", this.programs.controllerManager, [
      `--kubeconfig=${this.kubeconfig}`,
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
      // 0 closes its own port: nobody asks it anything.
      "--secure-port=0",
      `--service-account-private-key-file=${join(this.folder, "service-account.key")}`,
      "--use-service-account-credentials=false",
      "--kube-api-qps=200",
      "--kube-api-burst=400",
    ]);
  }

  #launch(name: string, program: string, args: readonly string[]): void {
    this.#children.set(name, startChild(program, args, join(this.folder, `${name}.log`)));
  }

  async #isReady(url: string): Promise<boolean> {
    if (!existsSync(join(this.folder, "certs", "apiserver.crt"))) return false;
    this.#writeKubeconfig(this.kubeconfig, { token: this.#adminToken, url: this.url });
    // kubectl, because Node's fetch takes no certificate authority of its own.
    const args = [`--server=${url}`, "--request-timeout=5s", "get", "--raw", "/readyz"];
    return (await this.#run(this.programs.kubectl, args)) === "ok";
  }

  async #waitFor(name: string, isReady: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + 90_000;
    let last = "";
    while (Date.now() < end) {
      const child = this.#children.get(name);
      if (child?.exit !== undefined) throw new Error(`${name} ended (${child.exit}):\n${child.logEnd()}`);
      try {
        if (await isReady()) return;
      } catch (cause) {
        last = String(cause);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${name} is not ready after 90 s (${last}):\n${this.#children.get(name)?.logEnd()}`);
  }

  async #compact(): Promise<void> {
    const ask = async (path: string, body: unknown): Promise<unknown> => {
      const address = `http://127.0.0.1:${this.#etcdPort}/v3/kv/${path}`;
      const answer = await fetch(address, { method: "POST", body: JSON.stringify(body) });
      const text = await answer.text();
      // Nothing was written since the last time.
      if (text.includes("has been compacted")) return {};
      if (!answer.ok) throw new Error(`etcd ${path}: ${text}`);
      return JSON.parse(text);
    };
    const range = (await ask("range", { key: "AA==" })) as { readonly header: { readonly revision: string } };
    await ask("compaction", { revision: range.header.revision, physical: true });
  }

  async #whileEtcdStands(change: (data: string, copy: string) => void): Promise<void> {
    await this.etcd.stop();
    change(join(this.folder, "etcd"), join(this.folder, "etcd-copy"));
    await this.#startEtcd();
  }

  #writeKubeconfig(path: string, { token, url }: { readonly token: string; readonly url: string }): void {
    const certificate = readFileSync(join(this.folder, "certs", "apiserver.crt")).toString("base64");
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "local",
      clusters: [{ name: "local", cluster: { server: url, "certificate-authority-data": certificate } }],
      users: [{ name: "local", user: { token } }],
      contexts: [{ name: "local", context: { cluster: "local", user: "local" } }],
    };
    writeFileSync(path, stringifyYaml(config), { mode: 0o600 });
  }
}

function writeKeys(folder: string, adminToken: string): void {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const write = (name: string, text: string | Buffer): void => writeFileSync(join(folder, name), text, { mode: 0o600 });
  write("service-account.key", privateKey.export({ type: "pkcs8", format: "pem" }));
  write("service-account.pub", publicKey.export({ type: "spki", format: "pem" }));
  write("tokens.csv", `${adminToken},admin,admin,"system:masters"\n`);
}
