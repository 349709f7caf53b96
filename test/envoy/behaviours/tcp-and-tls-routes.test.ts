import { describeBehaviours } from "./runner.ts";

describeBehaviours("tcp-and-tls-routes");
