import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { runCommandLine } from "../main.ts";

/** A proxy that is ready from the given question on; says how often it was asked. */
async function startProxy(readyFrom: number): Promise<{ readonly url: string; asked(): number }> {
  let asked = 0;
  const server = createServer((_incoming, response) => {
    asked += 1;
    response.writeHead(asked >= readyFrom ? 200 : 503).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/healthz/ready`, asked: () => asked };
}

function keepErrors(): string[] {
  const lines: string[] = [];
  const spy = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  onTestFinished(() => spy.mockRestore());
  return lines;
}

it("waits until the proxy is ready", async () => {
  const proxy = await startProxy(3);
  const options = ["--periodMillis", "10", "--requestTimeoutMillis", "30000"];
  expect(await runCommandLine(["agent", "wait", "--url", proxy.url, ...options])).toBe(0);
  expect(proxy.asked()).toBe(3);
});

it("says why the proxy was not ready in time", async () => {
  const errors = keepErrors();
  const proxy = await startProxy(Number.POSITIVE_INFINITY);
  const options = ["--timeoutSeconds", "1", "--requestTimeoutMillis", "30000", "--periodMillis", "50"];
  expect(await runCommandLine(["agent", "wait", "--url", proxy.url, ...options])).toBe(1);
  expect(errors.join("")).toContain("the proxy was not ready within 1 s: status 503");
});

it("asks ports of the proxy alone", async () => {
  const errors = keepErrors();
  expect(await runCommandLine(["agent", "request", "GET", "stats", "--debug-port", "8080"])).toBe(2);
  expect(errors.join("")).toContain("It is one of 15000, 15004, 15020, 15021.");
});
