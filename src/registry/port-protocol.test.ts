import { expect, it } from "vitest";
import { derivePortProtocol } from "./port-protocol.ts";

it.each([
  [{ name: "http-web", port: 80 }, "HTTP"],
  [{ name: "HTTP2", port: 80 }, "HTTP2"],
  [{ name: "grpc-web-ui", port: 80 }, "GRPC-Web"],
  [{ name: "grpc-api", port: 80 }, "GRPC"],
  [{ name: "https-x", port: 443 }, "HTTPS"],
  [{ name: "mongo", port: 1 }, "Mongo"],
  [{ name: "web", port: 80 }, "Unsupported"],
  [{ name: "", port: 80 }, "Unsupported"],
  [{ name: "hbone", port: 80 }, "Unsupported"],
  [{ name: "", port: 3306 }, "TCP"],
  [{ name: "web", port: 27017 }, "TCP"],
  [{ name: "http", port: 3306 }, "HTTP"],
  [{ name: "tcp", port: 80, appProtocol: "kubernetes.io/h2c" }, "HTTP2"],
  [{ name: "tcp", port: 80, appProtocol: "kubernetes.io/ws" }, "HTTP"],
  [{ name: "tcp", port: 80, appProtocol: "kubernetes.io/wss" }, "HTTPS"],
  [{ name: "http", port: 80, appProtocol: "grpc" }, "GRPC"],
  [{ name: "http", port: 80, appProtocol: "example.com/own" }, "Unsupported"],
])("reads the protocol of %j as %s", (declaration, expected) => {
  expect(derivePortProtocol({ protocol: "TCP", ...declaration })).toBe(expected);
});

it("takes a UDP port for UDP whatever it is called", () => {
  expect(derivePortProtocol({ name: "http", port: 80, protocol: "UDP", appProtocol: "http" })).toBe("UDP");
});
