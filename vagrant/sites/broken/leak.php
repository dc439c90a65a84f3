<?php
for ($kept = [];;) $kept[] = str_repeat('x', 1 << 20);
