import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh } from "../../test/support/mesh-objects.ts";
import { gateway, kubePort, kubeService, reviews, server, virtualService } from "../../test/support/sample-objects.ts";
import { gatewayViewOf, viewOf } from "../../test/support/scope-views.ts";
import type { MeshObject } from "../api/kinds.ts";
import { formatObjectRef } from "../lib/message.ts";
import { listScopeMessages } from "./scope-messages.ts";

describe("for a sidecar", () => {
  const toReviews = [{ route: [{ destination: { host: "reviews" } }] }];
  const messagesOf = (...objects: readonly MeshObject[]) =>
    listScopeMessages(viewOf(applyObjects(createTestMesh(), ...objects))).map(({ level, code, object, path, text }) => [
      level,
      code,
      formatObjectRef(object),
      path,
      text,
    ]);

  it("nothing is said where everybody has names of their own", () => {
    expect(messagesOf(reviews, virtualService("a", { hosts: ["reviews"], http: toReviews }))).toEqual([]);
  });

  it("says once whose host an older virtual service has, however many routes have it", () => {
    const tcp = kubeService("tcp", { clusterIP: "10.96.1.14", ports: [kubePort("odd", 9080)] });
    const rule = (name: string, year: number) =>
      virtualService(name, { hosts: ["reviews"], http: toReviews }, { creationTimestamp: `${year}-01-01T00:00:00Z` });
    expect(messagesOf(reviews, tcp, rule("young", 2026), rule("old", 2025))).toEqual([
      [
        "warning",
        "duplicate-host",
        "VirtualService bookinfo/young",
        "spec.hosts",
        "has no effect on reviews.bookinfo.svc.cluster.local:9080: an older object has this host and port",
      ],
    ]);
  });

  it("names the address that two services share", () => {
    const twin = kubeService("twin", { clusterIP: "10.96.1.13", ports: [kubePort("http", 9080)] });
    expect(messagesOf(reviews, twin)).toEqual([
      [
        "warning",
        "duplicate-domain",
        "Service bookinfo/twin",
        "",
        'does not lead "10.96.1.13" to twin.bookinfo.svc.cluster.local:9080: another host has this name or address',
      ],
    ]);
  });
});

it("for a router, says what is wrong with Gateways", () => {
  const view = gatewayViewOf([gateway("gw", [server("HTTP 81 http", ["*"])])], { key: { privileged: false } });
  expect(listScopeMessages(view).map(({ code, path }) => [code, path])).toEqual([
    ["gateway-privileged-port", "spec.servers[0].port.number"],
  ]);
});

it("for a router, names rules that an older object leaves no request", () => {
  const rule = (name: string, year: number, uri?: string) =>
    virtualService(
      name,
      {
        hosts: ["a.example.com"],
        gateways: ["istio-system/gw"],
        http: [
          { ...(uri === undefined ? {} : { match: [{ uri: { prefix: uri } }] }), directResponse: { status: 204 } },
        ],
      },
      { creationTimestamp: `${year}-01-01T00:00:00Z` },
    );
  const objects = [
    gateway("gw", [server("HTTP 8080 http", ["*"])]),
    rule("young", 2026),
    rule("old", 2025),
    rule("part", 2024, "/x"),
  ];
  expect(
    listScopeMessages(gatewayViewOf(objects)).map(({ code, object, path, text }) => [code, object.name, path, text]),
  ).toEqual([
    [
      "shadowed-route",
      "young",
      "spec.http[0]",
      "is never reached on a.example.com: VirtualService bookinfo/old takes everything there",
    ],
  ]);
});
