import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { expect, test } from "vitest";
import { findVirtualHost, needsTls } from "./virtual-host.ts";

const hosts: readonly (readonly [string, readonly string[]])[] = [
  ["any", ["*"]],
  ["com", ["*.com"]],
  ["example", ["*.example.com", "*-a.example.com"]],
  ["exact", ["www.example.com", "10.0.0.1"]],
  ["port", ["www.example.com:8080", "[fd00::1]:80"]],
  ["start", ["www.*", "www.example.*"]],
];
const configuration = (ignoresPort: boolean): RouteConfiguration => ({
  ignore_port_in_host_matching: ignoresPort,
  virtual_hosts: hosts.map(([name, domains]) => ({ name, domains })),
});

test.each([
  ["www.example.com", "exact"],
  ["WWW.Example.COM", "exact"],
  ["www.example.com:8080", "port"],
  ["www.example.com:9090", "start"],
  ["b.example.com", "example"],
  ["x-a.example.com", "example"],
  ["-a.example.com", "example"],
  [".example.com", "com"],
  ["example.com", "com"],
  ["www.example.org", "start"],
  ["www.", "any"],
  ["10.0.0.1", "exact"],
  ["[fd00::1]:80", "port"],
  ["elsewhere", "any"],
])("%s belongs to %s", (authority, name) => {
  expect(findVirtualHost(configuration(false), authority)?.name).toBe(name);
});

test.each([
  ["www.example.com:9090", "exact"],
  ["10.0.0.1:80", "exact"],
  ["a.com:1", "com"],
])("without its port %s belongs to %s", (authority, name) => {
  expect(findVirtualHost(configuration(true), authority)?.name).toBe(name);
});

test("nobody's host has no virtual host", () => {
  expect(findVirtualHost({ virtual_hosts: [{ name: "a", domains: ["a"] }] }, "b")).toBeUndefined();
});

test.each([
  ["ALL", "http", true, true],
  ["ALL", "https", true, false],
  ["EXTERNAL_ONLY", "http", true, false],
  ["EXTERNAL_ONLY", "http", false, true],
  ["NONE", "http", false, false],
] as const)("require_tls %s, %s, internal %s: %s", (requirement, proto, isInternal, expected) => {
  expect(needsTls({ require_tls: requirement }, proto, isInternal)).toBe(expected);
});
