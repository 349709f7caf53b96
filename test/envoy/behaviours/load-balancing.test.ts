import { describeBehaviours } from "./runner.ts";

describeBehaviours("load-balancing");
