import { struct } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { dynamicForwardProxyFactory } from "./dynamic-forward-proxy.ts";
import { headerToMetadataFactory } from "./header-to-metadata.ts";
import { alpnFactory, istioStatsFactory, peerMetadataFactory } from "./istio.ts";
import { ipTaggingFactory, setFilterStateFactory, setMetadataFactory } from "./metadata-filters.ts";
import { createTestChain } from "./test-exchange.ts";

describe("headerToMetadataFactory", () => {
  const note = (key: string, more: object = {}) => ({ metadata_namespace: "ns", key, ...more });
  it.each<[object, object | undefined]>([
    [{ header: "X-A", on_header_present: note("k") }, { k: "v1" }],
    [{ header: "x-a", on_header_present: note("k", { value: "fixed" }) }, { k: "fixed" }],
    [{ header: "x-n", on_header_present: note("k", { type: "NUMBER" }) }, { k: 12 }],
    [{ header: "x-64", on_header_present: note("k", { encode: "BASE64" }) }, { k: "hello" }],
    [{ header: "x-none", on_header_missing: note("k", { value: "none" }) }, { k: "none" }],
    [{ header: "x-none", on_header_present: note("k") }, undefined],
    [{ cookie: "c", on_header_present: note("k") }, { k: "jar" }],
    [
      {
        header: "x-a",
        on_header_present: note("k", { regex_value_rewrite: { pattern: { regex: "v(\\d)" }, substitution: "n\\1" } }),
      },
      { k: "n1" },
    ],
  ])("%j", async (rule, expected) => {
    const chain = createTestChain(headerToMetadataFactory, { filter: { request_rules: [rule] } });
    const headers = { "x-a": "v1", "x-n": "12", "x-64": "aGVsbG8=", cookie: "c=jar" };
    expect((await chain.ask({ headers })).info.dynamicMetadata.get("ns")).toEqual(expected);
  });

  it("reads answers, removes headers, and refuses what says nothing", async () => {
    const rule = { header: "x-a", remove: true, on_header_present: { key: "k" } };
    const chain = createTestChain(headerToMetadataFactory, {
      filter: { request_rules: [rule], response_rules: [rule] },
    });
    const outcome = await chain.ask({ headers: { "x-a": "1" } }, { headers: { "x-a": "2" } });
    expect([outcome.forwarded?.headers, outcome.headers]).toEqual([{}, {}]);
    expect(outcome.info.dynamicMetadata.get("envoy.filters.http.header_to_metadata")).toEqual({ k: "2" });
    const compile = (request_rule: object) => () =>
      createTestChain(headerToMetadataFactory, { filter: { request_rules: [request_rule] } });
    expect(compile({ header: "x" })).toThrow("request_rules[0]");
    expect(compile({ on_header_present: { key: "k" } })).toThrow("one of header and cookie");
  });
});

describe("filters that note something", () => {
  it("sets metadata, over what is there only where it may", async () => {
    const metadata = [
      { metadata_namespace: "a", value: struct({ x: 1, list: [1], deep: { y: 1 } }) },
      { metadata_namespace: "a", value: struct({ x: 2, list: [2], deep: { z: 2 } }), allow_overwrite: true },
      { metadata_namespace: "a", value: struct({ x: 3 }) },
    ];
    const chain = createTestChain(setMetadataFactory, { filter: { metadata } });
    const { info } = await chain.ask();
    expect(info.dynamicMetadata.get("a")).toEqual({ x: 2, list: [1, 2], deep: { y: 1, z: 2 } });
    expect(chain.stat("http.test.set_metadata.overwrite_denied")).toBe(1);
  });

  it("sets filter state from formats", async () => {
    const state = (object_key: string, text: string, more: object = {}) => ({
      object_key,
      format_string: { text_format_source: { inline_string: text }, omit_empty_values: true },
      ...more,
    });
    const filter = {
      on_request_headers: [state("one", "%REQ(x-a)%!"), state("two", "%REQ(none)%", { skip_if_empty: true })],
    };
    const { info } = await createTestChain(setFilterStateFactory, { filter }).ask({ headers: { "x-a": "hi" } });
    expect([info.filterState.get("one")?.text, info.filterState.has("two")]).toEqual(["hi!", false]);
  });

  it.each([
    ["10.1.2.3", {}, "a,b", 1],
    ["10.1.9.9", { "x-envoy-ip-tags": "z" }, "z,a", 1],
    ["192.168.0.1", {}, undefined, 0],
  ])("tags the address %s", async (client, headers, expected, clears) => {
    const range = (address_prefix: string, value: number) => [{ address_prefix, prefix_len: { value } }];
    const ip_tags = [
      { ip_tag_name: "a", ip_list: range("10.1.0.0", 16) },
      { ip_tag_name: "b", ip_list: range("10.1.2.0", 24) },
    ];
    const outcome = await createTestChain(ipTaggingFactory, { filter: { ip_tags } }).ask({ client, headers });
    expect([outcome.forwarded?.headers["x-envoy-ip-tags"], outcome.routeClears]).toEqual([expected, clears]);
  });

  it("gives requests the host that the route names for the lookup", async () => {
    const perRoute = [{ host_rewrite_header: "X-Host" }];
    const chain = createTestChain(dynamicForwardProxyFactory, { filter: {}, perRoute });
    expect((await chain.ask({ headers: { "x-host": "other" } })).forwarded?.authority).toBe("other");
    const literal = createTestChain(dynamicForwardProxyFactory, {
      filter: {},
      perRoute: [{ host_rewrite_literal: "fixed:80" }],
    });
    expect((await literal.ask()).forwarded?.authority).toBe("fixed:80");
    expect((await createTestChain(dynamicForwardProxyFactory, { filter: {} }).ask()).forwarded?.authority).toBe(
      "example.com",
    );
  });
});

describe("Istio's filters", () => {
  const peer = { "x-envoy-peer-metadata": "m", "x-envoy-peer-metadata-id": "i", "x-a": "1" };

  it("keep from applications what peers tell each other", async () => {
    const method = [{ istio_headers: {} }, { workload_discovery: {} }];
    const ask = (filter: object) =>
      createTestChain(peerMetadataFactory, { filter }).ask({ headers: peer }, { headers: peer });
    const inbound = await ask({ downstream_discovery: method });
    expect([inbound.forwarded?.headers, inbound.headers]).toEqual([{ "x-a": "1" }, peer]);
    const outbound = await ask({ upstream_discovery: method });
    expect([outbound.forwarded?.headers, outbound.headers]).toEqual([peer, { "x-a": "1" }]);
  });

  it("say which protocols to offer, by that of the client", async () => {
    const alpn_override = [
      { upstream_protocol: "HTTP11", alpn_override: ["istio-http/1.1", "istio", "http/1.1"] },
      { upstream_protocol: "HTTP2", alpn_override: ["istio-h2", "istio", "h2"] },
    ];
    const chain = createTestChain(alpnFactory, { filter: { alpn_override } });
    const { info } = await chain.ask({ protocol: "HTTP/2" });
    expect(info.filterState.get("istio.alpn")?.value).toEqual(["istio-h2", "istio", "h2"]);
    expect((await chain.ask({ protocol: "HTTP/1.0" })).info.filterState.size).toBe(0);
    expect((await createTestChain(istioStatsFactory, { filter: {} }).ask()).status).toBe(200);
  });
});
