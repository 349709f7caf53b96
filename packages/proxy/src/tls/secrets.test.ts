import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import { ConfigSources } from "../xds/config-sources.ts";
import { createSecrets, type Secrets } from "./secrets.ts";
import type { SecretSlot } from "./types.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-secrets-"));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function create(secrets: Parameters<typeof createSecrets>[0]["secrets"] = []): Secrets {
  const stats = createStatsRegistry();
  const sources = new ConfigSources({
    node: {},
    adsConfig: undefined,
    clusters: { find: () => undefined },
    whenUsable: () => Promise.resolve(),
    clock: systemClock,
    random: () => 0,
    log: silentLog,
    stats,
  });
  const provider = createSecrets({ sources, secrets, clock: systemClock, log: silentLog, stats, hash: () => 0 });
  closers.push(() => {
    provider.close();
    sources.close();
  });
  return provider;
}

const chainOf = (slot: SecretSlot): string =>
  Buffer.from(slot.current?.tls_certificate?.certificate_chain?.inline_bytes ?? []).toString();

/** Replaces a file in one step, as those who rotate certificates do. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const changeOf = (slot: SecretSlot): Promise<void> =>
  new Promise((resolve) => {
    const stop = slot.onChange(() => {
      stop();
      resolve();
    });
  });

const secretFile = (folder: string, chain: string): string =>
  JSON.stringify({
    resources: [
      {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        name: "mine",
        tls_certificate: {
          certificate_chain: { filename: join(folder, chain) },
          private_key: { inline_string: "key" },
        },
      },
    ],
  });

describe("createSecrets", () => {
  it("finds secrets of the bootstrap, with their files", () => {
    const folder = createFolder();
    const filename = join(folder, "chain.pem");
    writeFileSync(filename, "one");
    const secrets = create([{ name: "fixed", tls_certificate: { certificate_chain: { filename } } }]);
    expect(chainOf(secrets.open({ name: "fixed" }))).toBe("one");
    expect(() => secrets.open({ name: "other" })).toThrow("name: there is no static secret other");
    expect(secrets.list().map(({ name }) => name)).toEqual(["fixed"]);
  });

  it("refuses a secret of the bootstrap whose file is missing", () => {
    const tls_certificate = { certificate_chain: { filename: "/no/such/file" } };
    expect(() => create([{ name: "fixed", tls_certificate }])).toThrow(
      "static_resources.secrets[0].tls_certificate.certificate_chain.filename: ENOENT",
    );
  });

  it("follows files of secrets, and files that those name, and keeps the last good one", async () => {
    const folder = createFolder();
    const [first, second, file] = ["first.pem", "second.pem", "secret.json"].map((name) => join(folder, name));
    if (first === undefined || second === undefined || file === undefined) throw new Error("no paths");
    writeFileSync(first, "one");
    writeFileSync(second, "two");
    writeFileSync(file, secretFile(folder, "first.pem"));
    const secrets = create();
    const slot = secrets.open({ name: "mine", sds_config: { path_config_source: { path: file } } });
    await slot.ready;
    expect(chainOf(slot)).toBe("one");

    let changed = changeOf(slot);
    replace(first, "one again");
    await changed;
    expect(chainOf(slot)).toBe("one again");

    // What cannot be used is followed by what can: the change in between is not seen.
    replace(file, secretFile(folder, "missing.pem"));
    changed = changeOf(slot);
    replace(file, secretFile(folder, "second.pem"));
    await changed;
    expect(chainOf(slot)).toBe("two");
    slot.close();
    expect(secrets.list()).toEqual([]);
  });

  it("shares a name at a place, and refuses sources that it does not have", async () => {
    const folder = createFolder();
    writeFileSync(join(folder, "chain.pem"), "one");
    const path = join(folder, "secret.json");
    writeFileSync(path, secretFile(folder, "chain.pem"));
    const secrets = create();
    const config = { name: "mine", sds_config: { path_config_source: { path } } };
    const [left, right] = [secrets.open(config), secrets.open(config)];
    await Promise.all([left.ready, right.ready]);
    left.close();
    expect([chainOf(right), secrets.list().length]).toEqual(["one", 1]);
    expect(() => secrets.open({ name: "x", sds_config: { ads: {} } })).toThrow("sds_config.ads: there is no");
    expect(() =>
      secrets.open({ name: "x", sds_config: { api_config_source: { api_type: "REST", cluster_names: ["c"] } } }),
    ).toThrow("sds_config.api_config_source.api_type: REST is not supported");
  });
});
