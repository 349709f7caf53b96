import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { decode, encode, unpackAs } from "@meltemi/protos";
import type { Secret } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { type Authority, issueWorkloadCertificate } from "../../../../src/ca/authority.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { createInspectedLog } from "../../../../test/support/inspected-log.ts";
import { callSocket, openSocketStream, type SocketStream } from "../../../../test/support/socket-client.ts";
import { createTestRoot } from "../../../../test/support/test-ca.ts";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { until } from "../../../../test/support/until.ts";
import { createWorkloadSecrets } from "../identity/workload-secrets.ts";
import { type SdsServer, type SdsServerOptions, startSdsServer } from "./sds-server.ts";

const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const service = "/envoy.service.secret.v3.SecretDiscoveryService";
const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

interface Pair {
  readonly chain: string;
  readonly key: string;
}

let authority: Authority;
let [first, second]: readonly Pair[] = [];
beforeAll(async () => {
  authority = await createTestRoot();
  [first, second] = [await issue(), await issue()];
});

async function issue(): Promise<Pair> {
  const lifetime = { lifetimeMs: 3_600_000, nowMs: systemClock.now() };
  const issued = await issueWorkloadCertificate(authority, { identity, ...lifetime });
  return { chain: issued.chain, key: issued.privateKey.reveal() };
}

interface Rig {
  readonly folder: string;
  readonly clock: TestClock;
  readonly server: SdsServer;
  readonly lines: readonly string[];
  path(name: string): string;
  write(name: string, text: string): void;
  /** Puts a pair and roots where the workload's are read. */
  putWorkload(pair: Pair | undefined, roots?: string): void;
  open(variant: "Stream" | "Delta"): SocketStream;
}

async function startRig(options: (folder: string) => Partial<SdsServerOptions> = () => ({})): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-sds-"));
  const path = (name: string): string => join(folder, name);
  const clock = new TestClock();
  clock.advance(systemClock.now());
  const { log, lines } = createInspectedLog();
  const secrets = createWorkloadSecrets({
    source: { kind: "files", certificateFile: path("own.pem"), keyFile: path("own.key"), rootsFile: path("roots.pem") },
    ...{ clock, log, gracePeriodRatio: 0.5, gracePeriodJitter: 0, jitter: () => 0, fileDebounceMs: 100 },
  });
  void secrets.start();
  const server = await startSdsServer({
    socketPath: path("uds/socket"),
    filesSocketPath: path("files/socket"),
    ...{ secrets, fileDebounceMs: 100, clock, log },
    ...options(folder),
  });
  onTestFinished(async () => {
    await server.stop();
    secrets.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const write = (name: string, text: string): void => writeFileSync(path(name), text);
  return {
    ...{ folder, clock, server, lines, path, write },
    putWorkload(pair, roots = authority.roots) {
      write("own.pem", pair?.chain ?? "");
      write("own.key", pair?.key ?? "");
      write("roots.pem", roots);
      clock.advance(1_200);
    },
    open: (variant) => openSocketStream(server.socketPath, `${service}/${variant}Secrets`),
  };
}

const sotw = (names: readonly string[], nonce = "", error?: string): Uint8Array =>
  encode("envoy.service.discovery.v3.DiscoveryRequest", {
    type_url: secretType,
    resource_names: names,
    response_nonce: nonce,
    ...(error === undefined ? {} : { error_detail: { code: 13, message: error } }),
  });

interface Answer {
  readonly nonce: string;
  readonly version: string;
  readonly secrets: readonly Secret[];
}

async function nextSotw(stream: SocketStream): Promise<Answer> {
  const response = decode("envoy.service.discovery.v3.DiscoveryResponse", await stream.next());
  expect(response.type_url).toBe(secretType);
  const secrets = (response.resources ?? []).map((any) => readSecret(any));
  return { nonce: response.nonce ?? "", version: response.version_info ?? "", secrets };
}

function readSecret(any: Parameters<typeof unpackAs>[1]): Secret {
  const secret = unpackAs("envoy.extensions.transport_sockets.tls.v3.Secret", any);
  if (secret === undefined) throw new Error("another type");
  return secret;
}

const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
const chainOf = (answer: Answer): string => textOf(answer.secrets[0]?.tls_certificate?.certificate_chain?.inline_bytes);
const keyOf = (answer: Answer): string => textOf(answer.secrets[0]?.tls_certificate?.private_key?.inline_bytes);
const rootsOf = (answer: Answer): string => textOf(answer.secrets[0]?.validation_context?.trusted_ca?.inline_bytes);

test("the workload's pair and roots are served, and again when they change", async () => {
  const rig = await startRig();
  rig.putWorkload(first);
  const [pair, roots] = [rig.open("Stream"), rig.open("Stream")];
  pair.send(sotw(["default"]));
  roots.send(sotw(["ROOTCA"]));
  const [before, trusted] = [await nextSotw(pair), await nextSotw(roots)];
  expect(before.secrets.map(({ name }) => name)).toEqual(["default"]);
  expect([chainOf(before), keyOf(before)]).toEqual([first?.chain, first?.key]);
  expect(trusted.secrets.map(({ name }) => name)).toEqual(["ROOTCA"]);
  expect(rootsOf(trusted)).toBe(authority.roots);
  pair.send(sotw(["default"], before.nonce));
  roots.send(sotw(["ROOTCA"], trusted.nonce));

  rig.putWorkload(second);
  const after = await nextSotw(pair);
  expect([chainOf(after), keyOf(after)]).toEqual([second?.chain, second?.key]);
  expect(after.version).not.toBe(before.version);
  expect(after.nonce).not.toBe(before.nonce);
  // The roots are the same: they are not sent again.
  expect(roots.received).toHaveLength(1);
  expect(rig.lines.join("\n")).not.toContain("PRIVATE KEY");
});

test("a proxy that asks before there is a certificate gets it when it comes", async () => {
  const rig = await startRig();
  const stream = rig.open("Stream");
  stream.send(sotw(["default"]));
  const other = rig.open("Stream");
  rig.write("late.pem", authority.roots);
  other.send(sotw([`file-root:${rig.path("late.pem")}`]));
  await nextSotw(other);
  expect(stream.received).toHaveLength(0);
  rig.putWorkload(first);
  expect(chainOf(await nextSotw(stream))).toBe(first?.chain);
});

test("files are served by name, followed, and kept while they are half-written", async () => {
  const rig = await startRig();
  const name = `file-cert:${rig.path("a.pem")}~${rig.path("a.key")}`;
  rig.write("a.pem", first?.chain ?? "");
  rig.write("a.key", first?.key ?? "");
  const stream = rig.open("Stream");
  stream.send(sotw([name]));
  const answer = await nextSotw(stream);
  expect(answer.secrets[0]?.name).toBe(name);
  expect([chainOf(answer), keyOf(answer)]).toEqual([first?.chain, first?.key]);
  rig.write("a.pem", second?.chain ?? "");
  rig.clock.advance(3_000);
  rig.write("a.key", second?.key ?? "");
  rig.clock.advance(3_000);
  const next = await nextSotw(stream);
  expect([chainOf(next), keyOf(next)]).toEqual([second?.chain, second?.key]);
  expect(stream.received).toHaveLength(2);
});

test("of a root file only certificates are served, whatever else is in it", async () => {
  const rig = await startRig((folder) => ({ systemRootsFile: join(folder, "system.pem") }));
  rig.write("mixed.pem", `${first?.key}${authority.roots}`);
  rig.write("system.pem", authority.roots);
  rig.write("none.pem", "root:x:0:0\n");
  const stream = rig.open("Stream");
  const wanted = ["mixed.pem", "none.pem"].map((file) => `file-root:${rig.path(file)}`);
  stream.send(sotw([...wanted, "file-root:system"]));
  const { secrets } = await nextSotw(stream);
  expect(secrets.map(({ name }) => name)).toEqual([wanted[0], "file-root:system"]);
  const texts = secrets.map((secret) => textOf(secret.validation_context?.trusted_ca?.inline_bytes));
  expect(texts).toEqual([authority.roots, authority.roots]);
});

test("revocations come with the roots, and the roots again when those change", async () => {
  const rig = await startRig((folder) => ({ revocationsFile: join(folder, "ca-crl.pem") }));
  rig.putWorkload(first);
  const stream = rig.open("Stream");
  stream.send(sotw(["ROOTCA"]));
  const before = await nextSotw(stream);
  expect(before.secrets[0]?.validation_context?.crl).toBeUndefined();
  const list = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  rig.write("ca-crl.pem", list);
  rig.clock.advance(1_200);
  const after = await nextSotw(stream);
  expect(textOf(after.secrets[0]?.validation_context?.crl?.inline_bytes)).toBe(list);
  expect(rootsOf(after)).toBe(authority.roots);
});

test("a stream asks for more, for less, and hears nothing of what it gave up", async () => {
  const rig = await startRig();
  rig.putWorkload(first);
  const stream = rig.open("Stream");
  stream.send(sotw(["ROOTCA"]));
  const one = await nextSotw(stream);
  stream.send(sotw(["ROOTCA", "default"], one.nonce));
  const two = await nextSotw(stream);
  expect(two.secrets.map(({ name }) => name)).toEqual(["default"]);
  // An answer to an older response changes nothing.
  stream.send(sotw([], one.nonce));
  stream.send(sotw(["default"], two.nonce));
  rig.write("late.pem", authority.roots);
  const late = `file-root:${rig.path("late.pem")}`;
  stream.send(sotw(["default", late], two.nonce));
  const three = await nextSotw(stream);
  expect(three.secrets.map(({ name }) => name)).toEqual([late]);
  const other = await createTestRoot();
  rig.putWorkload(second, `${authority.roots}${other.roots}`);
  const four = await nextSotw(stream);
  expect(four.secrets.map(({ name }) => name)).toEqual(["default"]);
});

test("a refused secret is reported and not sent again", async () => {
  const rig = await startRig();
  rig.putWorkload(first);
  const stream = rig.open("Stream");
  stream.send(sotw(["default"]));
  const { nonce } = await nextSotw(stream);
  stream.send(sotw(["default"], nonce, "the key is too short"));
  await until("it is reported", () => rig.lines.some((line) => line.includes("the key is too short")));
  expect(stream.received).toHaveLength(1);
  rig.putWorkload(second);
  expect(chainOf(await nextSotw(stream))).toBe(second?.chain);
});

test("the incremental service sends what is new, once", async () => {
  const rig = await startRig();
  rig.putWorkload(first);
  const type_url = secretType;
  const send = (stream: SocketStream, message: object): void =>
    stream.send(encode("envoy.service.discovery.v3.DeltaDiscoveryRequest", { type_url, ...message }));
  const next = async (stream: SocketStream) => {
    const response = decode("envoy.service.discovery.v3.DeltaDiscoveryResponse", await stream.next());
    return { nonce: response.nonce, resources: response.resources ?? [] };
  };
  const stream = rig.open("Delta");
  send(stream, { resource_names_subscribe: ["default", "ROOTCA"] });
  const one = await next(stream);
  expect(one.resources.map(({ name }) => name)).toEqual(["default", "ROOTCA"]);
  send(stream, { response_nonce: one.nonce });
  rig.putWorkload(second);
  const two = await next(stream);
  expect(two.resources.map(({ name }) => name)).toEqual(["default"]);
  send(stream, { response_nonce: two.nonce, resource_names_unsubscribe: ["default"] });
  send(stream, { resource_names_subscribe: ["ROOTCA"] });
  const three = await next(stream);
  expect(three.resources.map(({ name }) => name)).toEqual(["ROOTCA"]);

  // Who comes again with what there is now gets nothing; with something older the rest.
  const versions = Object.fromEntries([...one.resources, ...two.resources].map(({ name, version }) => [name, version]));
  const again = rig.open("Delta");
  send(again, { resource_names_subscribe: ["default", "ROOTCA"], initial_resource_versions: versions });
  send(again, { resource_names_unsubscribe: ["ROOTCA"] });
  rig.putWorkload(first);
  const four = await next(again);
  expect(four.resources.map(({ name }) => name)).toEqual(["default"]);
  expect(again.received).toHaveLength(1);
});

test.each([
  { name: "another type", bytes: encode("envoy.service.discovery.v3.DiscoveryRequest", { type_url: "x/y" }) },
  { name: "no message", bytes: Buffer.from([0xff, 0xff, 0xff]) },
  { name: "far too many names", bytes: sotw(Array.from({ length: 1_001 }, (_, index) => `file-root:/none/${index}`)) },
])("a request for $name ends its stream alone", async ({ bytes }) => {
  const rig = await startRig();
  rig.putWorkload(first);
  const [stream, other] = [rig.open("Stream"), rig.open("Stream")];
  other.send(sotw(["default"]));
  await nextSotw(other);
  stream.send(bytes);
  expect((await stream.end()).code).toBe(status.INVALID_ARGUMENT);
  rig.putWorkload(second);
  expect(chainOf(await nextSotw(other))).toBe(second?.chain);
});

test("secrets are not fetched one by one", async () => {
  const rig = await startRig();
  const call = callSocket(rig.server.socketPath, `${service}/FetchSecrets`, sotw(["default"]));
  await expect(call).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
});

test("only the owner may connect, to a socket in place of one that was left behind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-socket-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [path, elsewhere] = [join(folder, "socket"), join(folder, "elsewhere")];
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(elsewhere, resolve));
  // A server that closes takes its socket along, unless it is somewhere else by then.
  renameSync(elsewhere, path);
  await new Promise((resolve) => gone.close(resolve));
  const rig = await startRig(() => ({ socketPath: path }));
  expect(rig.server).toMatchObject({ isFilesOnly: false, socketPath: path });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  rig.putWorkload(first);
  const stream = rig.open("Stream");
  stream.send(sotw(["default"]));
  expect(chainOf(await nextSotw(stream))).toBe(first?.chain);
});

test("a file that is no socket stays what it is", async () => {
  const rig = await startRig();
  rig.write("file", "somebody's");
  const paths = { socketPath: rig.path("file"), filesSocketPath: rig.path("files/socket") };
  const { log } = createInspectedLog();
  await expect(
    startSdsServer({ ...paths, secrets: undefined, fileDebounceMs: 1, clock: rig.clock, log }),
  ).rejects.toThrow();
  expect(readFileSync(rig.path("file"), "utf8")).toBe("somebody's");
});

test("where another server has the workload's secrets, files alone are served, elsewhere", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-spire-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const spire = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => spire.listen(join(folder, "socket"), resolve));
  onTestFinished(() => void spire.close());
  const rig = await startRig(() => ({ socketPath: join(folder, "socket") }));
  expect(rig.server).toMatchObject({ isFilesOnly: true, socketPath: rig.path("files/socket") });
  rig.putWorkload(first);
  rig.write("late.pem", authority.roots);
  const stream = rig.open("Stream");
  stream.send(sotw(["default", "ROOTCA", `file-root:${rig.path("late.pem")}`]));
  const { secrets } = await nextSotw(stream);
  expect(secrets.map(({ name }) => name)).toEqual([`file-root:${rig.path("late.pem")}`]);
});

test("hardware for private keys is named with the key inside its settings", async () => {
  const rig = await startRig(() => ({ privateKeyProvider: { kind: "cryptomb", pollDelayMs: 10, hasFallback: true } }));
  rig.putWorkload(first);
  const stream = rig.open("Stream");
  stream.send(sotw(["default"]));
  const { secrets } = await nextSotw(stream);
  const { private_key_provider: provider, private_key: plain } = secrets[0]?.tls_certificate ?? {};
  expect(plain).toBeUndefined();
  expect([provider?.provider_name, provider?.fallback]).toEqual(["cryptomb", true]);
  const type = "envoy.extensions.private_key_providers.cryptomb.v3alpha.CryptoMbPrivateKeyMethodConfig";
  const settings = provider?.typed_config && unpackAs(type, provider.typed_config);
  expect(textOf(settings?.private_key?.inline_bytes)).toBe(first?.key);
  expect(settings?.poll_delay?.nanos).toBe(10_000_000);
});
