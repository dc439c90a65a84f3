<?php
// Executes the request's body, as the body of a function, and answers with what it returns.
header('Content-Type: application/json');
echo json_encode(eval(file_get_contents('php://input')),
                 JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
