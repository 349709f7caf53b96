import { expect, it } from "vitest";
import { isUnixAddress, joinHostPort, parseUnixPath } from "./host-port.ts";

it.each([
  ["fd00::1", "[fd00::1]:80"],
  ["[fd00::1]", "[fd00::1]:80"],
  ["10.0.0.1", "10.0.0.1:80"],
  ["a.example", "a.example:80"],
])("joins %s and a port to %s", (host, expected) => {
  expect(joinHostPort(host, 80)).toBe(expected);
});

it.each([
  ["unix:///run/app.sock", "/run/app.sock"],
  ["unix://@app", "@app"],
  ["/run/app.sock", undefined],
  ["10.0.0.1", undefined],
])("finds the socket of %s at %s", (address, path) => {
  expect(parseUnixPath(address)).toBe(path);
  expect(isUnixAddress(address)).toBe(path !== undefined);
});
