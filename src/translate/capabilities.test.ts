import { expect, it } from "vitest";
import { hasExtension } from "./capabilities.ts";
import type { Capabilities } from "./scope.ts";

const istioVersion = { major: 1, minor: 31, patch: 0 };

function proxy(extensions: readonly string[] | undefined, version: Capabilities["istioVersion"]): Capabilities {
  return {
    istioVersion: version,
    extensions: extensions === undefined ? undefined : new Set(extensions),
    acceptHttp10: false,
  };
}

it("gives everything to a proxy that lists nothing and claims a version of Istio", () => {
  expect(hasExtension(proxy(undefined, istioVersion), "istio.alpn")).toBe(true);
  expect(hasExtension(proxy(undefined, istioVersion), "envoy.filters.http.cors")).toBe(true);
});

it("keeps Istio's filters from a proxy that lists nothing and claims nothing", () => {
  expect(hasExtension(proxy(undefined, undefined), "istio.stats")).toBe(false);
  expect(hasExtension(proxy(undefined, undefined), "envoy.filters.http.cors")).toBe(true);
});

it("gives a proxy that lists its extensions no others, whatever version it claims", () => {
  const stock = proxy(["envoy.filters.http.cors"], istioVersion);
  expect(hasExtension(stock, "envoy.filters.http.cors")).toBe(true);
  expect(hasExtension(stock, "envoy.filters.http.fault")).toBe(false);
  expect(hasExtension(stock, "istio.alpn")).toBe(false);
});

it("knows the factories behind Istio's filters", () => {
  const istio = proxy(["envoy.filters.network.metadata_exchange", "istio.alpn"], undefined);
  expect(hasExtension(istio, "istio.metadata_exchange")).toBe(true);
  expect(hasExtension(istio, "istio.alpn")).toBe(true);
  expect(hasExtension(istio, "istio.stats")).toBe(false);
});
