/**
 * Specs with fields that Istio's CRDs have and that validation refuses. Objects of an existing cluster may have them: the
 * API server must keep them as they are.
 */

type Spec = Readonly<Record<string, unknown>>;

const destination = { host: "reviews" };
const port = { number: 9080, protocol: "HTTPS", name: "https", targetPort: 8080 };
const hosts = ["shop.example.com"];
const serverTls: readonly Spec[] = [
  { mode: "SIMPLE", credentialNames: ["shop-rsa"], subjectAltNames: ["client.example.com"] },
  { mode: "MUTUAL", credentialName: "shop-cert", caCertCredentialName: "shop-ca" },
  {
    mode: "SIMPLE",
    tlsCertificates: [{ serverCertificate: "/tls.pem", privateKey: "/key.pem", caCertificates: "/ca.pem" }],
  },
];

export const storedSpecs: Readonly<Record<string, readonly Spec[]>> = {
  VirtualService: [
    {
      hosts,
      http: [
        {
          route: [{ destination }],
          fault: { delay: { percent: 5, fixedDelay: "1s" }, abort: { http2Error: "CANCEL" } },
        },
        { route: [{ destination }], fault: { delay: { exponentialDelay: "1s" } } },
      ],
    },
  ],
  Gateway: [{ servers: [{ port, hosts }] }],
  Sidecar: [
    {
      ingress: serverTls.map((tls, index) => ({ port: { ...port, number: 9080 + index }, tls })),
      egress: [{ port, hosts: ["./*"] }],
    },
  ],
  WorkloadGroup: [{ template: { address: "10.2.3.4" }, probe: { grpc: { port: 8080, service: "ready" } } }],
};
