<?php
// Everything that came with the request.
header('Content-Type: application/json');
echo json_encode([
    'server' => $_SERVER, 'get' => $_GET, 'post' => $_POST, 'cookie' => $_COOKIE, 'files' => $_FILES,
    'input' => file_get_contents('php://input'), 'headers' => getallheaders(),
    'apache_request_headers' => apache_request_headers(),
], JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
