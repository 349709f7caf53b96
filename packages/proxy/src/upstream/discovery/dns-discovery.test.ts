import { createSocket } from "node:dgram";
import { bool, duration, packAny } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type DnsServer, startDnsServer } from "../../../../../test/support/dns-server.ts";
import { until } from "../../../../../test/support/until.ts";
import { compileDnsTimes } from "../dns/dns-config.ts";
import { findInHosts } from "../dns/dns-resolver.ts";
import {
  addressOf,
  assignment,
  type ClusterRig,
  createRig,
  endpointOf,
  origin,
  settle,
} from "../testing/cluster-rig.ts";

let rig: ClusterRig;
let dns: DnsServer;
const table = new Map<string, readonly string[]>();

beforeEach(async () => {
  table.clear();
  dns = await startDnsServer((name) => table.get(name));
  rig = createRig();
});

afterEach(async () => {
  await rig.clusters.close();
  expect(rig.clock.running).toBe(0);
  await dns.stop();
});

function cluster(overrides: Cluster = {}): Cluster {
  return {
    name: "a",
    type: "STRICT_DNS",
    dns_lookup_family: "V4_ONLY",
    dns_refresh_rate: duration(5000),
    typed_dns_resolver_config: resolver(dns.port),
    load_assignment: assignment(endpointOf(80, "svc.test"), endpointOf(81, "127.9.9.9")),
    ...overrides,
  };
}

function resolver(port: number): NonNullable<Cluster["typed_dns_resolver_config"]> {
  return {
    name: "envoy.network.dns_resolver.cares",
    typed_config: packAny("envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig", {
      resolvers: [addressOf(port)],
      dns_resolver_options: { no_default_search_domain: true },
    }),
  };
}

test("STRICT_DNS: every address is a host, and they are asked for again", async () => {
  table.set("svc.test", ["10.0.0.1", "10.0.0.2"]);
  await rig.clusters.update(cluster(), origin);
  expect(rig.addresses()).toEqual(["10.0.0.1:80", "10.0.0.2:80", "127.9.9.9:81"]);
  expect(
    rig.clusters
      .find("a")
      ?.listHosts()
      .map(({ hostname }) => hostname),
  ).toEqual(["svc.test", "svc.test", ""]);
  table.set("svc.test", ["10.0.0.2", "10.0.0.3"]);
  rig.clock.advance(5000);
  await until("the new addresses are hosts", () => rig.addresses().includes("10.0.0.3:80"));
  expect(rig.addresses()).toEqual(["10.0.0.2:80", "10.0.0.3:80", "127.9.9.9:81"]);
  table.delete("svc.test");
  rig.clock.advance(5000);
  await until("the name has no address any more", () => rig.addresses().length === 1);
});

test("the times to live say when to ask again, where that is wanted", async () => {
  table.set("svc.test", ["10.0.0.1"]);
  await rig.clusters.update(cluster({ respect_dns_ttl: true, dns_refresh_rate: duration(60_000) }), origin);
  const before = dns.asked.length;
  // The server gives one second.
  rig.clock.advance(1000);
  await until("it was asked again", () => dns.asked.length > before);
});

test("where the server fails, the last addresses are kept, and it is asked again soon", async () => {
  const failing = { is: false };
  const server = await startFailingServer(() => failing.is);
  const failure = { base_interval: duration(100), max_interval: duration(200) };
  try {
    await rig.clusters.update(
      cluster({ typed_dns_resolver_config: resolver(server.port), dns_failure_refresh_rate: failure }),
      origin,
    );
    expect(rig.addresses()).toEqual(["10.0.0.1:80", "127.9.9.9:81"]);
    failing.is = true;
    rig.clock.advance(5000);
    await until("it failed", () => rig.stat("update_failure") === 1);
    await settle();
    rig.clock.advance(100);
    await until("it failed again", () => rig.stat("update_failure") === 2);
    expect(rig.addresses()).toEqual(["10.0.0.1:80", "127.9.9.9:81"]);
  } finally {
    await server.stop();
  }
});

test("LOGICAL_DNS: one host, at the first address, kept where the name has none any more", async () => {
  table.set("svc.test", ["10.0.0.1", "10.0.0.2"]);
  const load_assignment = assignment(endpointOf(80, "svc.test"));
  await rig.clusters.update(cluster({ type: "LOGICAL_DNS", load_assignment }), origin);
  expect(rig.addresses()).toEqual(["10.0.0.1:80"]);
  table.set("svc.test", ["10.0.0.9"]);
  rig.clock.advance(5000);
  await until("the new address is the host", () => rig.addresses()[0] === "10.0.0.9:80");
  table.delete("svc.test");
  rig.clock.advance(5000);
  const asked = dns.asked.length;
  await until("it was asked again", () => dns.asked.length > asked || (rig.stat("update_success") ?? 0) >= 3);
  expect(rig.addresses()).toEqual(["10.0.0.9:80"]);
});

test("names of /etc/hosts are found there", async () => {
  await rig.clusters.update(cluster({ load_assignment: assignment(endpointOf(80, "localhost")) }), origin);
  expect(rig.addresses()).toEqual(["127.0.0.1:80"]);
  expect(findInHosts("127.0.0.1 localhost me # you\n::1\tlocalhost\n# 1.1.1.1 localhost", "localhost")).toEqual([
    "127.0.0.1",
    "::1",
  ]);
});

test("a dynamic forward proxy goes to whom the request names", async () => {
  table.set("one.test", ["10.0.0.1"]);
  table.set("two.test", ["10.0.0.1"]);
  const dns_cache_config = {
    name: "cache",
    dns_lookup_family: "V4_ONLY" as const,
    typed_dns_resolver_config: resolver(dns.port),
  };
  await rig.clusters.update(
    {
      name: "a",
      lb_policy: "CLUSTER_PROVIDED",
      cluster_type: {
        name: "envoy.clusters.dynamic_forward_proxy",
        typed_config: packAny("envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig", { dns_cache_config }),
      },
    },
    origin,
  );
  const one = await rig.choose("a", { authority: "one.test:8080" });
  expect(one).toMatchObject({ address: "10.0.0.1:8080", hostname: "one.test" });
  expect(await rig.choose("a", { authority: "One.test:8080" })).toBe(one);
  expect(await rig.choose("a", { authority: "two.test:8080" })).not.toBe(one);
  expect(await rig.choose("a", { authority: "one.test" })).toMatchObject({ port: 80 });
  expect(await rig.choose("a", { authority: "[::1]:99" })).toMatchObject({ address: "[::1]:99" });
  expect(dns.asked.filter((name) => name === "one.test")).toHaveLength(1);
  await expect(rig.choose("a", { authority: "gone.test" })).rejects.toMatchObject({ failure: "dns-failure" });
  await expect(rig.choose("a")).rejects.toMatchObject({ failure: "no-healthy-upstream" });
  expect(rig.stats.gauges().get("dns_cache.cache.num_hosts")).toBe(3);
  const resolve = async (authority: string): Promise<unknown> => await rig.clusters.find("a")?.resolve?.({ authority });
  expect([await resolve("one.test"), await resolve("10.0.0.9")]).toEqual([undefined, undefined]);
  const cause = "cares_norecords:Domain name not found";
  await expect(resolve("gone.test")).rejects.toMatchObject({ failure: "dns-failure", cause });
  rig.clock.advance(900_000);
  expect(rig.addresses()).toEqual([]);
});

test("the bootstrap's resolver serves clusters that name none", async () => {
  table.set("svc.test", ["10.0.0.1"]);
  const other = createRig({ dns: { typed_dns_resolver_config: resolver(dns.port) } });
  const { typed_dns_resolver_config: _, ...rest } = cluster();
  await other.clusters.update(rest, origin);
  expect(other.addresses()).toContain("10.0.0.1:80");
  await other.clusters.close();
});

test("wait_for_warm_on_init makes no difference: hosts are waited for", async () => {
  table.set("svc.test", ["10.0.0.1"]);
  await rig.clusters.update(cluster({ wait_for_warm_on_init: bool(false) }), origin);
  expect(rig.addresses()).toHaveLength(2);
});

test.each([
  [{ dns_refresh_rate: duration(0) }, "dns_refresh_rate"],
  [{ dns_failure_refresh_rate: {} }, "base_interval"],
  [{ dns_failure_refresh_rate: { base_interval: duration(10), max_interval: duration(5) } }, "max_interval"],
])("times are checked: %j", (wire, message) => {
  expect(() => compileDnsTimes(wire, 5000)).toThrow(message);
});

/** Gives every name the address 10.0.0.1, or says that it fails (code 2 of RFC 1035, 4.1.1). */
async function startFailingServer(isFailing: () => boolean): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const socket = createSocket("udp4");
  socket.on("message", (query, peer) => {
    // The question without what the client adds behind it: a name, 0, type and class.
    const response = Buffer.from(query.subarray(0, query.indexOf(0, 12) + 5));
    response.writeUInt16BE(isFailing() ? 0x8182 : 0x8180, 2);
    response.writeUInt16BE(isFailing() ? 0 : 1, 6);
    response.writeUInt16BE(0, 10);
    const answer = Buffer.from("c00c00010001000000010004" + "0a000001", "hex");
    socket.send(isFailing() ? response : Buffer.concat([response, answer]), peer.port, peer.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return {
    port: socket.address().port,
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}
