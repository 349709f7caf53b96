/** A gateway through which endpoints of another network are reached (Istio: model.NetworkGateway). */
export interface NetworkGateway {
  readonly network: string;
  /** Cluster that the gateway belongs to; "" where its address was stated by hand. */
  readonly clusterId: string;
  /** An IP address or a host name. */
  readonly address: string;
  /** Port for mutual TLS that is passed on by server name; 0 where it has none. */
  readonly port: number;
  /** Port for HBONE; 0 where it has none. */
  readonly hbonePort: number;
}
