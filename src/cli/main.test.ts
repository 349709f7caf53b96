import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const launcher = fileURLToPath(new URL("./meltemi.mjs", import.meta.url));

function run(...args: readonly string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, ...args], { encoding: "utf8" });
  return { code: status, out: stdout, err: stderr };
}

describe("meltemi", () => {
  it("prints its version", () => {
    expect(run("version")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^meltemi \d+\.\d+\.\d+ \(Node \d/),
      err: "",
    });
  });

  it("documents every option and variable of serve", () => {
    const { code, out } = run("serve", "--help");
    expect(code).toBe(0);
    for (const word of [
      "--config-dir",
      "--grpcAddr",
      "--monitoringAddr",
      "CLUSTER_ID",
      "PILOT_DEBOUNCE_AFTER",
      ":15010",
    ]) {
      expect(out).toContain(word);
    }
  });

  it.each([
    [["serve", "--config-dir", "no/such/folder"], /there is no directory no\/such\/folder/],
    [["serve", "--config-dir", launcher], /is a file; name the directory that holds it/],
    [["serve", "--config-dir", ".", "--grpcAddr", "here"], /--grpcAddr: "here" is not an address/],
    [["serve", "--configdir", "."], /Did you mean --config-dir|Did you mean --configDir/],
    [["bootstrap", "reviews"], /such as "reviews-v1.bookinfo"/],
    [["bootstrap", "a.b", "--admin-port", "0"], /from 1 to 65535/],
    [["certificate", "--namespace", "a"], /required option '--out/],
    [["certificate", "--namespace", "a", "--out", "b", "--ttl", "1s"], /Between 1m and 2160h/],
    [["frobnicate"], /unknown command/],
  ])("refuses %j and names the way out", (args, message) => {
    const { code, out, err } = run(...args);
    expect(err).toMatch(message);
    expect(code).toBe(2);
    expect(out).toBe("");
  });

  it("issues certificates by an authority of its own, which it makes once", () => {
    const folder = mkdtempSync(join(tmpdir(), "meltemi-cli-"));
    const [caDir, out] = [join(folder, "etc/cacerts"), join(folder, "certs")];
    const issue = (name: string) => {
      const words = ["--namespace", "shop", "--service-account", name, "--ca-dir", caDir, "--out", join(out, name)];
      const { code, out: text, err } = run("certificate", ...words);
      expect([code, err]).toEqual([0, ""]);
      expect(text).toContain(`spiffe://cluster.local/ns/shop/sa/${name}`);
      return readFileSync(join(out, name, "root-cert.pem"), "utf8");
    };
    expect(issue("one")).toBe(issue("two"));
    expect(statSync(join(out, "one/key.pem")).mode & 0o077).toBe(0);
    const bad = run("certificate", "--namespace", "Shop", "--ca-dir", caDir, "--out", out);
    expect(bad).toMatchObject({ code: 1, err: expect.stringContaining("is no identity") });
    rmSync(folder, { recursive: true });
  });

  it("says where a mesh can come from where there is none", () => {
    const env = { HOME: "/nonexistent" };
    const { status, stderr } = spawnSync(process.execPath, [launcher, "serve"], { encoding: "utf8", env });
    expect(stderr).toMatch(/there is no API server to connect to.*--kubeconfig FILE.*--config-dir DIR/);
    expect(status).toBe(1);
  });

  it("says which port is taken", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const taken = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
    const folder = mkdtempSync(join(tmpdir(), "meltemi-empty-"));
    const other = { "--grpcAddr": "127.0.0.1:0", "--httpAddr": "127.0.0.1:0", "--monitoringAddr": "127.0.0.1:0" };
    for (const option of Object.keys(other)) {
      const { code, err } = run(
        "serve",
        "--config-dir",
        folder,
        "--secureGRPCAddr=",
        ...Object.entries({ ...other, [option]: taken }).flat(),
      );
      expect(err).toContain(`error: another program listens on ${taken}. End it, or choose other ports`);
      expect(code).toBe(1);
    }
    server.close();
    rmSync(folder, { recursive: true });
  });

  it("prints a bootstrap for a workload", () => {
    const { code, out } = run("bootstrap", "reviews-v1.bookinfo", "--label", "app=reviews", "--delta");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ node: { cluster: "reviews.bookinfo" } });
  });
});
