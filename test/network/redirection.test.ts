/** `meltemi iptables` on real kernels: tables of a network namespace, and what becomes of connections there. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PodNetwork, type Result, startPodNetwork } from "./pod-network.ts";

const program = fileURLToPath(new URL("../../src/cli/meltemi.mjs", import.meta.url));
const application = 2000;
const proxy = 1337;
const injected = ["-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*"];
const all = [...injected, "-d", "15021,9090", "-o", "5432", "--dual-stack", "--redirect-dns", "--capture-all-dns"];

describe.each(["legacy", "nft"])("traffic by iptables-%s", (kind) => {
  const { network, redirect } = useRig(kind);

  it("sends outbound traffic of applications to the proxy, and lets the proxy's own through", async () => {
    await redirect(...all);
    const targets = ["tcp:10.9.0.1:8080", "tcp:fd09++1:8080", "tcp:10.9.0.1:5432", "udp:10.9.0.1:53", "udp:fd09++1:53"];
    expect(await network().pod.call(application, targets)).toEqual(["15001", "15001", "5432", "15053", "15053"]);
    expect(await network().pod.call(proxy, targets)).toEqual(["8080", "8080", "5432", "53", "53"]);
  });

  it("sends inbound traffic to the proxy, but for what is left out", async () => {
    await redirect(...all);
    const inbound = ["10.9.0.2", "fd09++2"].flatMap((host) =>
      ["8080", "9090", "15008"].map((port) => `tcp:${host}:${port}`),
    );
    expect(await network().peer.call(0, inbound)).toEqual(["15006", "9090", "15008", "15006", "9090", "15008"]);
  });

  it("lets an application reach itself, and the proxy its inbound side by the pod's address", async () => {
    await redirect(...all);
    const self = ["tcp:127.0.0.1:8080", "tcp:10.9.0.2:8080", "tcp:++1:8080", "tcp:fd09++2:8080"];
    expect(await network().pod.call(application, self)).toEqual(["8080", "8080", "8080", "8080"]);
    expect(await network().pod.call(proxy, self)).toEqual(["8080", "15006", "8080", "15006"]);
  });
});

describe.each(["legacy", "nft"])("tables by iptables-%s", (kind) => {
  const { network, meltemi, saveTables, redirect } = useRig(kind);

  it("changes nothing the second time, and finds the kind in use by itself", async () => {
    await redirect(...all);
    const before = await saveTables();
    const again = await meltemi(all);
    expect(again.output).toContain(`iptables-${kind}: rules are in place`);
    expect(again.output).toContain(`ip6tables-${kind}: rules are in place`);
    expect(again.code).toBe(0);
    expect(await saveTables()).toBe(before);
  });

  it("refuses to mix with rules of another setting, and replaces them where it is told to", async () => {
    await redirect(...all);
    const before = await saveTables();
    const other = [...injected, "-d", "8080", "--dual-stack"];
    expect(await meltemi(other)).toMatchObject({ code: 1, output: expect.stringContaining("--reconcile") });
    expect(await saveTables()).toBe(before);
    await redirect(...other, "--reconcile");
    expect(await network().peer.call(0, ["tcp:10.9.0.2:8080", "tcp:10.9.0.2:9090"])).toEqual(["8080", "15006"]);
    const tables = await saveTables();
    expect(tables).not.toMatch(/DNS|DROP/);
    await redirect(...other, "--force-apply");
    expect(await saveTables()).toBe(tables);
    await redirect(...all, "--reconcile");
    expect(await saveTables()).toBe(before);
  });

  it("leaves rules of others alone, and no trace of its own", async () => {
    const own = "-A OUTPUT -d 192.0.2.1/32 -p tcp -j RETURN";
    await network().pod.run(`iptables-${kind}`, ["-t", "nat", ...own.split(" ")]);
    await redirect(...all, "--reconcile");
    await redirect(...all, "--cleanup-only");
    expect(await saveTables()).toBe(own);
    expect((await network().pod.run("ip", ["-6", "address"])).output).not.toContain("::6/128");
    const tproxy = [...injected, "-m", "TPROXY", "-c", "eth9", "--dual-stack", "--drop-invalid"];
    await redirect(...tproxy);
    expect(await saveTables()).toContain("TPROXY --on-port 15006");
    expect((await network().pod.run("ip", ["rule"])).output).toContain("fwmark 0x539 lookup 133");
    await redirect(...tproxy);
    await redirect(...tproxy, "--cleanup-only");
    expect(await saveTables()).toBe(own);
    expect((await network().pod.run("ip", ["rule"])).output).not.toContain("133");
    await network().pod.run(`iptables-${kind}`, ["-t", "nat", "-D", ...own.split(" ").slice(1)]);
  });

  it("prints rules and changes nothing on a dry run", async () => {
    const before = await saveTables();
    const { code, output } = await meltemi([...all, "--dry-run"]);
    expect(code).toBe(0);
    expect(output).toContain("-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001");
    expect(await saveTables()).toBe(before);
  });

  it("reaches a namespace from outside, as a node agent does", async () => {
    const args = [
      program,
      "iptables",
      ...all,
      "--force-iptables-binary",
      kind,
      "--cni-mode",
      "--network-namespace",
      network().pod.path,
    ];
    expect(await network().peer.run(process.execPath, args)).toMatchObject({ code: 0 });
    expect(await network().peer.call(0, ["tcp:10.9.0.2:8080"])).toEqual(["15006"]);
  });
});

describe("validation", () => {
  let network: PodNetwork;
  beforeAll(async () => {
    network = await startPodNetwork();
  });
  afterAll(() => network?.stop());

  it("exits with 126 without rules, and with 0 as the proxy's user where they are in place", async () => {
    const validate = [process.execPath, program, "iptables", ...injected, "--run-validation", "--skip-rule-apply"];
    const asProxy = ["--reuid", "1337", "--regid", "1337", "--clear-groups", ...validate];
    const missing = await network.pod.run("setpriv", [...asProxy, "--probe-timeout", "500ms"]);
    expect(missing).toMatchObject({ code: 126, output: expect.stringContaining("redirection does not work") });
    expect(await network.pod.run(process.execPath, [program, "iptables", ...injected])).toMatchObject({ code: 0 });
    expect(await network.pod.run("setpriv", [...asProxy, "--probe-timeout", "60s"])).toMatchObject({ code: 0 });
  });
});

/** A pod with servers and a peer, for the tests of one block; `network` is there from the first of them on. */
function useRig(kind: string) {
  let network: PodNetwork;
  const forced = ["--force-iptables-binary", kind];
  const meltemi = (args: readonly string[]): Promise<Result> =>
    network.pod.run(process.execPath, [program, "iptables", ...args]);
  const saveTables = async (): Promise<string> => {
    const saved = await Promise.all(
      ["legacy", "nft"].flatMap((each) =>
        ["iptables", "ip6tables"].map((name) => network.pod.run(`${name}-${each}-save`, [])),
      ),
    );
    return saved.flatMap(({ output }) => output.split("\n").filter((line) => /^(-A|:ISTIO)/.test(line))).join("\n");
  };
  const redirect = async (...args: readonly string[]): Promise<void> => {
    expect(await meltemi([...args, ...forced])).toMatchObject({ code: 0 });
  };

  beforeAll(async () => {
    network = await startPodNetwork();
    const ports = ["15001", "15006", "8080", "9090", "15008"].map((port) => `tcp:++:${port}`);
    await network.pod.serve(proxy, [...ports, "udp:127.0.0.1:15053", "udp:++1:15053"]);
    const peer = ["8080", "5432"].map((port) => `tcp:++:${port}`);
    await network.peer.serve(0, [...peer, "udp:10.9.0.1:53", "udp:fd09++1:53"]);
  });
  afterAll(() => network?.stop());
  return { network: () => network, meltemi, saveTables, redirect };
}
