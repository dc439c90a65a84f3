<?php
posix_kill(getmypid(), 11); // as a faulty extension would: SIGSEGV
sleep(5);
