<?php
a_function_that_nobody_wrote();
