#Requires -Version 5.1
#Requires -RunAsAdministrator
# hubgw: a connection to a virtual hub, for Windows 10 (version 1803) and later. Run it as the user whose connection it is,
# elevated:  powershell -ExecutionPolicy Bypass -File THIS-FILE
$ErrorActionPreference = 'Stop'

function Add-Certificate($Store, $Location, $Certificate) {
    $opened = [Security.Cryptography.X509Certificates.X509Store]::new($Store, $Location)
    $opened.Open('ReadWrite')
    $opened.Add($Certificate)
    $opened.Close()
}

# The authorities that the gateway's certificate is verified by.
$content = [Convert]::FromBase64String('MIIBaTCCAQ+gAwIBAgIURPp4sbKsHdM6TaY1EJaeTlUi7nAwCgYIKoZIzj0EAwIwKTEQMA4GA1UECgwHRXhhbXBsZTEVMBMGA1UEAwwMRXhhbXBsZSByb290MCAXDTI2MTEyOTAwNTMyMFoYDzIxMDkwMTE5MDA1MzIwWjApMRAwDgYDVQQKDAdFeGFtcGxlMRUwEwYDVQQDDAxFeGFtcGxlIHJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ1qVLf+SUo2hQ5P9ieKFUYFWxAj0IEL9riF4c+AVbGoWVnpFBv2VruSH1AiSSyV14iUWp3+1kjaF5xDQGQ6sPJoxMwETAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIAvHztmzt92YkzjPlvRAXj6HCJHbhDWuJhszBMcfrxOLAiEArLV2tzRkum+FY5UCxprIXZHNX/8HqFFz+UoxhnlnZpM=')
Add-Certificate 'Root' 'LocalMachine' ([Security.Cryptography.X509Certificates.X509Certificate2]::new($content))

$name = 'hub1'
if (Get-VpnConnection -Name $name -AllUserConnection -ErrorAction SilentlyContinue) {
    Remove-VpnConnection -Name $name -AllUserConnection -Force
}
$connection = @{
    Name = $name
    ServerAddress = 'vpn.example.com'
    TunnelType = 'Ikev2'
    EncryptionLevel = 'Required'
    AuthenticationMethod = 'Eap'
    AllUserConnection = $true
    SplitTunneling = $true
    EapConfigXmlStream = [xml]'<host:EapHostConfig xmlns:base="http://www.microsoft.com/provisioning/BaseEapConnectionPropertiesV1" xmlns:common="http://www.microsoft.com/provisioning/EapCommon" xmlns:host="http://www.microsoft.com/provisioning/EapHostConfig" xmlns:mschap="http://www.microsoft.com/provisioning/MsChapV2ConnectionPropertiesV1"><host:EapMethod><common:Type>26</common:Type><common:VendorId>0</common:VendorId><common:VendorType>0</common:VendorType><common:AuthorId>0</common:AuthorId></host:EapMethod><host:Config><base:Eap><base:Type>26</base:Type><mschap:EapType><mschap:UseWinLogonCredentials>false</mschap:UseWinLogonCredentials></mschap:EapType></base:Eap></host:Config></host:EapHostConfig>'
    RememberCredential = $true
}
Add-VpnConnection @connection -Force

# What the gateway accepts; Windows' own choice is group 2.
$suite = @{
    ConnectionName = $name
    EncryptionMethod = 'AES256'
    IntegrityCheckMethod = 'SHA384'
    DHGroup = 'ECP384'
    CipherTransformConstants = 'GCMAES256'
    AuthenticationTransformConstants = 'GCMAES256'
    PfsGroup = 'None'
    AllUserConnection = $true
}
Set-VpnConnectionIPsecConfiguration @suite -Force

# Windows takes no more of the gateway's selectors than the first.
Add-VpnConnectionRoute -ConnectionName $name -DestinationPrefix '10.50.0.0/24' -AllUserConnection
Add-VpnConnectionRoute -ConnectionName $name -DestinationPrefix '172.16.0.0/12' -AllUserConnection

Write-Host 'The user name is' 'alice@example.com'
