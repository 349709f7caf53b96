import { describeBehaviours } from "./runner.ts";

describeBehaviours("envoy-filter");
