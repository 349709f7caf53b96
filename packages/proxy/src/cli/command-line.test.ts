import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLog } from "./create-log.ts";
import { parseArguments } from "./parse-arguments.ts";
import { readConfig, withoutPorts } from "./read-config.ts";

const program = fileURLToPath(new URL("./meltemi-proxy.mjs", import.meta.url));
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "proxy-cli-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

interface Run {
  readonly pid: number;
  readonly output: () => string;
  readonly exit: Promise<number | null>;
}

function run(...args: readonly string[]): Run {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (part: Buffer) => {
      text += part.toString();
    });
  }
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { pid: child.pid ?? 0, output: () => text, exit };
}

const admin = { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } };

describe("meltemi-proxy", () => {
  it("serves until a signal, and tells its address", { timeout: 60_000 }, async () => {
    const address = join(folder, "address");
    const { pid, exit } = run("-c", write("a.json", { admin }), "--admin-address-path", address, "--concurrency", "2");
    await expect.poll(() => tryRead(address), { timeout: 30_000 }).toMatch(/^127\.0\.0\.1:\d+$/);
    await expect
      .poll(async () => (await fetch(`http://${tryRead(address)}/ready`)).status, { timeout: 30_000 })
      .toBe(200);
    process.kill(pid, "SIGTERM");
    expect(await exit).toBe(0);
  });

  it("ends when an administrator says so", { timeout: 60_000 }, async () => {
    const address = join(folder, "address");
    const { exit } = run("--config-yaml", JSON.stringify({ admin }), "--admin-address-path", address);
    await expect.poll(() => tryRead(address), { timeout: 30_000 }).toMatch(/:\d+$/);
    await fetch(`http://${tryRead(address)}/quitquitquit`, { method: "POST" });
    expect(await exit).toBe(0);
  });

  it("checks a configuration", { timeout: 60_000 }, async () => {
    const path = write(
      "b.yaml",
      "static_resources: { listeners: [{ name: l, address: { pipe: {} }, filter_chains: [{ filters: [{ name: nope }] }] }] }",
    );
    const bad = run("-c", path, "--mode", "validate");
    expect(await bad.exit).toBe(1);
    expect(bad.output()).toMatch(/error initializing config '.*b\.yaml': static_resources\.listeners\[0\]/);
    const good = run("-c", write("c.yaml", "node: { id: a }"), "--mode", "validate");
    expect(await good.exit).toBe(0);
    expect(good.output()).toContain(`configuration '${join(folder, "c.yaml")}' OK`);
  });
});

function tryRead(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

describe("parts of the command", () => {
  it("reads flags", () => {
    const parsed = parseArguments(
      [
        "-c",
        "x",
        "-l",
        "debug",
        "--component-log-level",
        "http:trace",
        "--service-node",
        "n",
        "--drain-time-s",
        "3",
        "--restart-epoch",
        "0",
        "--log-format",
        "%v",
      ],
      "1.2.3",
    );
    expect(parsed).toMatchObject({
      configPath: "x",
      logLevel: "debug",
      serviceNode: "n",
      drainTimeMs: 3000,
      mode: "serve",
      logFormat: "text",
    });
    expect(parsed.given).toMatchObject({ config_path: "x", drain_time: "3s", restart_epoch: 0, mode: "Serve" });
  });

  it("merges configurations, and closes ports for a check", () => {
    const path = write(
      "a.yaml",
      "node: { id: a, cluster: c }\nstatic_resources: { clusters: [{ name: x }], listeners: [{ name: l }] }",
    );
    const given = parseArguments(
      [
        "-c",
        path,
        "--config-yaml",
        "node: { id: b }\nstatic_resources: { clusters: [{ name: y }] }\nadmin: {}",
        "--stats-tag",
        "env:a:b",
      ],
      "1.2.3",
    );
    const config = readConfig(given);
    expect(config).toEqual({
      node: { id: "b", cluster: "c" },
      static_resources: { clusters: [{ name: "x" }, { name: "y" }], listeners: [{ name: "l" }] },
      admin: {},
      stats_config: { stats_tags: [{ tag_name: "env", fixed_value: "a:b" }] },
    });
    const closed = withoutPorts({ ...config, dynamicResources: { ldsConfig: {}, adsConfig: { a: 1 } } });
    expect(closed).not.toHaveProperty("admin");
    expect(closed).toMatchObject({
      static_resources: { listeners: [{ name: "l", bind_to_port: false }] },
      dynamicResources: { adsConfig: { a: 1 } },
    });
    expect(closed["dynamicResources"]).not.toHaveProperty("ldsConfig");
    expect(() => readConfig(parseArguments(["-c", join(folder, "none")], "1"))).toThrow("the file cannot be read");
  });

  it("logs by component", () => {
    const lines: string[] = [];
    const destination = { write: (line: string) => lines.push(line) };
    const { log, levels } = createLog({ level: "warning", componentLevels: "http:debug", format: "text", destination });
    log.info("not shown");
    const http = log.child({ component: "http", id: 7 });
    http.debug("shown", { more: "x" });
    expect(levels.set("off", "http")).toBe(true);
    http.error("no more");
    expect(levels.set("info", "nosuch")).toBe(false);
    expect(levels.set("loud")).toBe(false);
    log.warn("also shown");
    expect(lines.map((line) => line.replace(/^\[[^\]]+\]\[\d+\]/, ""))).toEqual([
      '[debug][http] shown {"id":7,"more":"x"}\n',
      "[warning][main] also shown\n",
    ]);
    expect(() => createLog({ level: "info", componentLevels: "a:b", format: "json", destination })).toThrow(
      "is no logger and level",
    );
  });
});
