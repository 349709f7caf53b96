import { toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import {
  buildDownstreamTlsContext,
  buildInboundTlsContext,
  type DownstreamTraffic,
  filterCipherSuites,
  type MeshTlsSettings,
  type ServerTlsSettings,
} from "./downstream.ts";

const contextType = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const files = { serverCertificate: "/c", privateKey: "/k" };

function contextOf(
  settings: ServerTlsSettings,
  traffic: DownstreamTraffic = "http",
  defaults: MeshTlsSettings = {},
): unknown {
  const context = buildDownstreamTlsContext(settings, traffic, defaults);
  return context === undefined ? undefined : toJson(contextType, context);
}

describe("a gateway's server", () => {
  it.each<[string, ServerTlsSettings, object]>([
    [
      "SIMPLE with files",
      { mode: "SIMPLE", ...files },
      {
        common_tls_context: {
          alpn_protocols: ["h2", "http/1.1"],
          tls_certificate_sds_secret_configs: [{ name: "file-cert:/c~/k" }],
        },
        require_client_certificate: false,
      },
    ],
    [
      "SIMPLE with a credential",
      { mode: "SIMPLE", credentialName: "a" },
      {
        common_tls_context: {
          tls_certificate_sds_secret_configs: [{ name: "kubernetes://a", sds_config: { ads: {} } }],
        },
      },
    ],
    [
      "two credentials, of which the first brings the roots",
      { mode: "MUTUAL", credentialNames: ["rsa", "ecdsa"] },
      {
        common_tls_context: {
          tls_certificate_sds_secret_configs: [{ name: "kubernetes://rsa" }, { name: "kubernetes://ecdsa" }],
          combined_validation_context: { validation_context_sds_secret_config: { name: "kubernetes://rsa-cacert" } },
        },
        require_client_certificate: true,
      },
    ],
    [
      "OPTIONAL_MUTUAL, which checks a certificate only if there is one",
      { mode: "OPTIONAL_MUTUAL", credentialName: "a", verifyCertificateHash: ["00"] },
      {
        common_tls_context: {
          combined_validation_context: {
            default_validation_context: { verify_certificate_hash: ["00"] },
            validation_context_sds_secret_config: { name: "kubernetes://a-cacert" },
          },
        },
        require_client_certificate: false,
      },
    ],
    [
      "MUTUAL with files",
      { mode: "MUTUAL", ...files, caCertificates: "/ca", caCrl: "/crl", subjectAltNames: ["c.example"] },
      {
        common_tls_context: {
          combined_validation_context: {
            default_validation_context: {
              match_subject_alt_names: [{ exact: "c.example" }],
              crl: { filename: "/crl" },
            },
            validation_context_sds_secret_config: { name: "file-root:/ca" },
          },
        },
        require_client_certificate: true,
      },
    ],
    [
      "ISTIO_MUTUAL, with the workload's own identity whatever else is named",
      { mode: "ISTIO_MUTUAL", credentialName: "a" },
      {
        common_tls_context: {
          alpn_protocols: ["h2", "http/1.1"],
          tls_certificate_sds_secret_configs: [{ name: "default" }],
          combined_validation_context: { validation_context_sds_secret_config: { name: "ROOTCA" } },
        },
        require_client_certificate: true,
      },
    ],
    [
      "several pairs of files",
      { mode: "SIMPLE", tlsCertificates: [files, { serverCertificate: "/c2", privateKey: "/k2" }] },
      {
        common_tls_context: {
          tls_certificate_sds_secret_configs: [{ name: "file-cert:/c~/k" }, { name: "file-cert:/c2~/k2" }],
        },
      },
    ],
  ])("takes %s", (_case, settings, expected) => expect(contextOf(settings)).toMatchObject(expected));

  it("offers the exchange of metadata to mesh traffic over TCP", () => {
    const { common_tls_context: common } = buildDownstreamTlsContext({ mode: "ISTIO_MUTUAL" }, "tcp") ?? {};
    expect(common?.alpn_protocols).toEqual(["istio-peer-exchange", "h2", "http/1.1"]);
    expect(buildDownstreamTlsContext({ mode: "SIMPLE", ...files }, "tcp")?.common_tls_context?.alpn_protocols).toEqual([
      "h2",
      "http/1.1",
    ]);
  });

  it.each(["PASSTHROUGH", "AUTO_PASSTHROUGH", undefined])("ends no TLS in mode %s", (mode) => {
    expect(contextOf({ mode })).toBeUndefined();
  });

  it("limits versions and ciphers to those of the server, else of the mesh", () => {
    const own = { minProtocolVersion: "TLSV1_1", maxProtocolVersion: "TLSV1_2", cipherSuites: ["AES128-SHA", "NONE"] };
    const mesh = { minProtocolVersion: "TLSV1_3", cipherSuites: ["AES256-SHA"], ecdhCurves: ["P-256"] };
    expect(contextOf({ mode: "SIMPLE", ...files, ...own }, "http", mesh)).toMatchObject({
      common_tls_context: {
        tls_params: {
          tls_minimum_protocol_version: "TLSv1_1",
          tls_maximum_protocol_version: "TLSv1_2",
          cipher_suites: ["AES128-SHA"],
          ecdh_curves: ["P-256"],
        },
      },
    });
    expect(contextOf({ mode: "SIMPLE", ...files }, "http", mesh)).toMatchObject({
      common_tls_context: { tls_params: { tls_minimum_protocol_version: "TLSv1_3", cipher_suites: ["AES256-SHA"] } },
    });
    expect(JSON.stringify(contextOf({ mode: "SIMPLE", ...files }))).not.toContain("tls_params");
  });
});

it("drops ciphers that Envoy would refuse the listener for, and repeated ones", () => {
  expect(filterCipherSuites(["AES128-SHA", "x", "AES128-SHA"])).toEqual(["AES128-SHA"]);
});

describe("the inbound side", () => {
  it("takes clients of the mesh's trust domains", () => {
    expect(toJson(contextType, buildInboundTlsContext("http", ["cluster.local", "old"]))).toMatchObject({
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
        combined_validation_context: {
          default_validation_context: {
            match_subject_alt_names: [{ prefix: "spiffe://cluster.local/" }, { prefix: "spiffe://old/" }],
          },
        },
      },
      require_client_certificate: true,
    });
  });

  it("follows the mesh's versions and ciphers", () => {
    const mesh = { minProtocolVersion: "TLSV1_3", cipherSuites: ["AES256-GCM-SHA384"] };
    const params = buildInboundTlsContext("tcp", [], mesh).common_tls_context?.tls_params;
    expect(params).toMatchObject({ tls_minimum_protocol_version: "TLSv1_3", cipher_suites: ["AES256-GCM-SHA384"] });
  });
});
